# SPDX-License-Identifier: Apache-2.0
"""The contents of one slot: root.img (squashfs, then its hash tree) and boot.img (FAT: kernel, initrd, what the boot loader must know)."""
import hashlib
import os
import re
import shutil
import uuid

from image import initrd, loaders
from image.definition import ImageError
from image.tree import kernel, kernel_release, remove, run, sha256_of

MEBIBYTE = 1 << 20
BLOCK = 4096


def make_fat(target, size_mib, label, seed, files):
    """A FAT32 file system with `files` {name: path}; all in it follows from `seed` and the files."""
    target.unlink(missing_ok=True)
    with target.open("wb") as file:
        file.truncate(size_mib * MEBIBYTE)
    run("mkfs.vfat", "--invariant", "-F", "32", "-s", "1", "-n", label, "-i", seed[:8], target)
    made = set()
    for name, path in sorted(files.items()):
        folders = name.split("/")[:-1]
        for depth in range(1, len(folders) + 1):
            folder = "/".join(folders[:depth])
            if folder not in made:
                run("mmd", "-i", target, f"::{folder}")
                made.add(folder)
        run("mcopy", "-i", target, path, f"::{name}")


def make_root(tree, target, epoch):
    """Squashfs with everything owned by root, then the dm-verity tree. Returns BLOCKS:HASH_BLOCK:ROOT_HASH:SALT."""
    target.unlink(missing_ok=True)
    # All times equal, also those of folders; it takes them from the options or from the environment, not from both.
    environment = {key: value for key, value in os.environ.items() if key != "SOURCE_DATE_EPOCH"}
    run("mksquashfs", tree, target, "-quiet", "-no-progress", "-noappend", "-all-root", "-no-xattrs", "-comp", "zstd", "-Xcompression-level",
        "15", "-b", "256K", "-mkfs-time", epoch, "-all-time", epoch,
        env=environment)
    blocks = -(-target.stat().st_size // BLOCK)
    with target.open("r+b") as file:
        file.truncate(blocks * BLOCK)
    # Salt and ids follow from the contents: the same contents give the same bits.
    salt = sha256_of(target)
    text = run("veritysetup", "format", "--no-superblock", f"--data-blocks={blocks}", f"--hash-offset={blocks * BLOCK}", f"--salt={salt}",
               f"--uuid={uuid.UUID(salt[:32])}", target, target)
    found = re.search(r"Root hash:\s+([0-9a-f]{64})", text)
    if not found:
        raise ImageError("veritysetup printed no root hash")
    return f"{blocks}:{blocks}:{found[1]}:{salt}"


def device_trees(definition, tree, stage):
    """Takes the board's device trees, and the overlays if the kernel has any, out of the tree; {name on the boot partition: file}."""
    release = kernel_release(tree)
    folders = [tree / name for name in (f"usr/lib/linux-image-{release}", f"usr/lib/modules/{release}/dtb") if (tree / name).is_dir()]
    files = {}
    for name, path in definition.device_trees.items():
        source = next((folder / path for folder in folders if (folder / path).is_file()), None)
        if source is None:
            raise ImageError(f"kernel {release} has no device tree {path}, which 'device_trees' names: take another kernel")
        shutil.copyfile(source, stage / name)
        files[name] = stage / name
    for folder in folders:
        for overlay in sorted([*folder.glob("overlays/*.dtbo"), *folder.glob("overlays/overlay_map.dtb")]):
            (stage / "overlays").mkdir(exist_ok=True)
            shutil.copyfile(overlay, stage / "overlays" / overlay.name)
            files[f"overlays/{overlay.name}"] = stage / "overlays" / overlay.name
    for folder in folders if definition.device_trees else []:
        remove(folder)  # one may be a link to the other
    return files


def make(definition, tree, version, epoch, work):
    """Makes work/root.img and work/boot.img; checks that they fit their partitions. The kernel goes from the tree into boot.img."""
    stage = work / "boot"
    (work / "initrd-tree").mkdir()
    stage.mkdir()
    initrd.make(definition, tree, work / "initrd-tree", stage / "initrd")
    trees = device_trees(definition, tree, stage)
    shutil.move(kernel(tree), stage / "vmlinuz")
    (stage / "vmlinuz").chmod(0o644)
    verity = make_root(tree, work / "root.img", epoch)
    if (work / "root.img").stat().st_size > definition.partitions["root"] * MEBIBYTE:
        raise ImageError(f"the root file system has {(work / 'root.img').stat().st_size >> 20} MiB, its partition "
                         f"{definition.partitions['root']}: remove packages, or raise partitions.root (never on devices in the field)")
    files = {**trees, **loaders.of(definition).slot_files(definition, tree, stage, verity, version)}
    seed = hashlib.sha256("".join(f"{name} {sha256_of(path)}\n" for name, path in sorted(files.items())).encode()).hexdigest()
    make_fat(work / "boot.img", definition.partitions["boot"], "BOOT", seed, files)
    return verity
