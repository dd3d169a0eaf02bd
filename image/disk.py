# SPDX-License-Identifier: Apache-2.0
"""The whole disk: GPT, the partition that the boot loader begins on, slot A filled and slot B empty, config partition, the beginning of data."""
import uuid

from image import loaders
from image.definition import FOLDER
from image.slots import MEBIBYTE, make_fat
from image.tree import run, sha256_of

TYPES = {
    "esp": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    "boot": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    "root": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    "config": "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7",  # any laptop shows it
    "data": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
}
# Order and labels are an interface: the boot loaders count on the numbers, the initrd on the labels.
LAYOUT = (("esp", "esp"), ("boot-a", "boot"), ("boot-b", "boot"), ("root-a", "root"), ("root-b", "root"), ("config", "config"), ("data", "data"))


def copy_sparse(source, image, offset):
    """Copies a file into the image and leaves holes where it is zero."""
    with source.open("rb") as file:
        while chunk := file.read(MEBIBYTE):
            if chunk.count(0) != len(chunk):
                image.seek(offset)
                image.write(chunk)
            offset += len(chunk)


def make(definition, unpacked, blob, work, target):
    """Writes the disk image; needs work/root.img and work/boot.img; `blob` is the user's first loader or None. Ids follow from the contents."""
    seed = sha256_of(work / "boot.img")  # has the root hash in it, so it stands for both
    loader = loaders.of(definition)
    loader.first_partition(definition, unpacked, work, seed[8:])
    make_fat(work / "config.img", definition.partitions["config"], "WAYSIDE", seed[16:],
             {path.name: path for path in sorted((FOLDER / "config").iterdir())})
    contents = {"esp": "esp.img", "boot-a": "boot.img", "root-a": "root.img", "config": "config.img"}
    lines = ["label: gpt", f"label-id: {uuid.uuid5(uuid.NAMESPACE_OID, seed)}", "unit: sectors"]
    offset, placed = definition.first_mib, []
    if blob:
        placed.append((blob, definition.blob["sector"] * 512))
    for name, kind in LAYOUT:
        size = definition.partitions[kind]
        identity = uuid.uuid5(uuid.NAMESPACE_OID, f"{seed} {name}")
        kind_of = loader.TYPES.get(kind, TYPES[kind])
        # Bit 63: no drive letter on Windows, for what is not for people.
        hidden = ', attrs="GUID:63"' if kind_of == TYPES["config"] and kind != "config" else ""
        lines.append(f"start={offset * 2048}, size={size * 2048}, type={kind_of}, uuid={identity}, name={name}{hidden}")
        if name in contents:
            placed.append((work / contents[name], offset * MEBIBYTE))
        offset += size
    target.unlink(missing_ok=True)
    with target.open("wb") as image:
        image.truncate((offset + 1) * MEBIBYTE)
        for source, start in placed:
            copy_sparse(source, image, start)
    run("sfdisk", "--quiet", target, input="\n".join(lines) + "\n")
