# SPDX-License-Identifier: Apache-2.0
"""Looks at a finished disk image from outside, as a device would: table, loader, slot A and its hash tree, what must not be in it.

By hand: python3 -m image.verify BOARD FILE.img [FIRST LOADER] (in the image root)."""
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from image import definition, disk, loaders
from image.definition import ImageError, need
from image.slots import BLOCK, MEBIBYTE
from image.tree import run

# Nothing in the image may be run with another's rights, or be changed by everybody.
FORBIDDEN_BITS = re.compile(r"^-..s|^-.....s|^[-d].......w[^t]")


def partitions(board, image):
    table = json.loads(run("sfdisk", "--json", image))["partitiontable"]
    found = [(part["name"], part["size"] * 512 // MEBIBYTE) for part in table["partitions"]]
    need(table["label"] == "gpt" and found == [(name, board.partitions[kind]) for name, kind in disk.LAYOUT], f"partitions {found}")
    plain = [part["name"] for part in table["partitions"] if part["type"] == disk.TYPES["config"] and "GUID:63" not in part.get("attrs", "")]
    need(plain == ["config"], f"a person would see more than the config partition: {plain}")
    need(table["partitions"][0]["start"] == board.first_mib * 2048, "the first partition begins elsewhere")
    return {part["name"]: (part["start"] * 512, part["size"] * 512) for part in table["partitions"]}


def text_of(image, offset, name):
    return run("mtype", "-i", f"{image}@@{offset}", f"::{name}")


def carve(image, place, target):
    with image.open("rb") as source, target.open("wb") as copy:
        source.seek(place[0])
        for _ in range(place[1] // MEBIBYTE):
            copy.write(source.read(MEBIBYTE))


def slot(board, image, places, work):
    """The loader's files and slot A: the hash tree fits the root hash that the loader hands over. Returns the carved root partition."""
    def listing(partition):
        names = run("mdir", "-b", "-/", "-i", f"{image}@@{places[partition][0]}", "::").split()
        return [name.removeprefix("::/") for name in names]
    def fetch(partition, name):
        run("mcopy", "-D", "o", "-i", f"{image}@@{places[partition][0]}", f"::{name}", work / "file")
        return (work / "file").read_bytes()
    def read(partition, name):
        return text_of(image, places[partition][0], name)
    blocks, hash_block, root_hash, salt = loaders.of(board).check(board, listing, read, fetch).split(":")
    root = work / "root-a"
    carve(image, places["root-a"], root)
    try:
        run("veritysetup", "verify", "--no-superblock", f"--data-blocks={blocks}", f"--hash-offset={int(hash_block) * BLOCK}", f"--salt={salt}",
            root, root, root_hash)
    except ImageError:
        need(False, "root-a does not match its root hash")
    return root


def system(board, root):
    """What must and must not be in the root file system."""
    listing = subprocess.run(["unsquashfs", "-lln", root], capture_output=True, text=True, check=True).stdout.splitlines()
    files = {line.split(" squashfs-root/", 1)[1].split(" -> ")[0]: line for line in listing if " squashfs-root/" in line}
    bad = [name for name, line in files.items() if FORBIDDEN_BITS.search(line) or " 0/0 " not in line]
    need(not bad, f"set-uid, writable by all, or not root's: {bad[:3]}")
    for name in ("usr/bin/waysided", "usr/bin/wayside-fetch", "usr/bin/wayside-enroll", "usr/bin/rauc", "usr/lib/systemd/systemd", "usr/lib/wayside/slots",
                 "usr/lib/wayside/prepare", "usr/lib/wayside/enroll", "usr/lib/wayside/confirm", "etc/rauc/system.conf", "etc/rauc/keyring.pem", "etc/machine-id"):
        need(name in files, f"{name} is missing")
    need("usr/bin/perl" not in files and "usr/bin/dpkg" not in files, "package management is in it")
    for unit in board.mask:
        need(files.get(f"etc/systemd/system/{unit}", "").endswith("-> /dev/null"), f"{unit} is not masked")
    for unit in ("waysided", "wayside-confirm", "wayside-enroll", "wayside-prepare"):
        need(f"etc/systemd/system/multi-user.target.wants/{unit}.service" in files, f"{unit} is not enabled")
    shadow = run("unsquashfs", "-cat", root, "etc/shadow").splitlines()
    need(shadow and all(line.split(":")[1][:1] in ("*", "!") for line in shadow), "somebody has a password")
    config = run("unsquashfs", "-cat", root, "etc/rauc/system.conf")
    need(f"compatible={board.compatible}\n" in config, "RAUC would take bundles of another board")


def first_loader(board, image, blob):
    with image.open("rb") as file:
        file.seek(board.blob["sector"] * 512)
        need(file.read(blob.stat().st_size) == blob.read_bytes(), f"{blob.name} is not at sector {board.blob['sector']}")


def check(board, image, blob=None):
    places = partitions(board, image)
    if blob:
        first_loader(board, image, blob)
    need("version: 1" in text_of(image, places["config"][0], "wayside.yaml"), "wayside.yaml is not on the config partition")
    with tempfile.TemporaryDirectory(dir=image.parent) as folder:
        system(board, slot(board, image, places, Path(folder)))


if __name__ == "__main__":
    try:
        check(definition.load(sys.argv[1]), *map(Path, sys.argv[2:]))
        print("ok")
    except ImageError as error:
        sys.exit(f"image: {error}")
