# SPDX-License-Identifier: Apache-2.0
"""Adds a node to /chosen of a flattened device tree, as a boot loader does before it starts the kernel (Devicetree Specification 0.4, chapter 5)."""
import struct

MAGIC, HEADER = 0xD00DFEED, struct.Struct(">10I")
BEGIN_NODE, END_NODE, PROP, NOP, END = 1, 2, 3, 4, 9


def _padded(data):
    return data + bytes(-len(data) % 4)


def _end_of(nodes, path):
    """Where the END_NODE of the node with this path (a list of names below the root) begins."""
    position, open_nodes = 0, []
    while True:
        (token,) = struct.unpack_from(">I", nodes, position)
        if token == BEGIN_NODE:
            name = nodes[position + 4:nodes.index(0, position + 4)]
            open_nodes.append(name.decode())
            position += 4 + len(_padded(name + b"\0"))
        elif token == PROP:
            position += 12 + len(_padded(bytes(struct.unpack_from(">I", nodes, position + 4)[0])))
        elif token == END_NODE:
            if open_nodes == ["", *path]:
                return position
            open_nodes.pop()
            position += 4
        elif token == NOP:
            position += 4
        else:
            raise ValueError(f"the device tree has no node /{'/'.join(path)}")


def with_chosen_node(tree, name, numbers):
    """The tree with a node /chosen/NAME that has these properties {name: number of 32 bits}."""
    magic, total, at_nodes, at_strings, at_reserved, version, compatible, cpu, strings_size, nodes_size = HEADER.unpack_from(tree)
    if magic != MAGIC or total > len(tree):
        raise ValueError("no device tree")
    nodes, strings = tree[at_nodes:at_nodes + nodes_size], tree[at_strings:at_strings + strings_size]
    added = struct.pack(">I", BEGIN_NODE) + _padded(name.encode() + b"\0")
    for key, value in numbers.items():
        added += struct.pack(">IIII", PROP, 4, len(strings), value)
        strings += key.encode() + b"\0"
    added += struct.pack(">I", END_NODE)
    place = _end_of(nodes, ["chosen"])
    nodes = nodes[:place] + added + nodes[place:]
    reserved = tree[at_reserved:at_nodes]  # ends with a pair of zeros; the blocks come in this order, as libfdt writes them
    if not HEADER.size <= at_reserved < at_nodes < at_strings:
        raise ValueError("a device tree with its blocks in another order")
    start = -(-HEADER.size // 8) * 8
    after_nodes = start + len(reserved) + len(nodes)
    return HEADER.pack(MAGIC, after_nodes + len(strings), start + len(reserved), after_nodes, start, version, compatible, cpu, len(strings),
                       len(nodes)) + bytes(start - HEADER.size) + reserved + nodes + strings
