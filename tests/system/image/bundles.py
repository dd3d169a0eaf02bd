# SPDX-License-Identifier: Apache-2.0
"""Update bundles made from the bundle of a built image: another version, with or without a fault, signed anew; and sticks with them."""
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from image import bundle, definition


# Of each boot loader: the file on the boot partition that names the system's version and root hash.
NAMED_IN = {"grub": "slot.cfg", "tryboot": "cmdline.txt"}


def _other_hash(text):
    return re.sub(r"(verity=\W?\d+:\d+:)([0-9a-f]{64})", lambda found: found[1] + hashlib.sha256(found[2].encode()).hexdigest(), text)


# What makes a system bad: an edit of that file.
FAULTS = {
    "none": lambda text: text,
    # The root hash of another root file system: dm-verity refuses the first block.
    "root-hash": _other_hash,
    # The agent never runs; the judgement comes after a minute instead of ten.
    "no-agent": lambda text: text.replace("quiet", "quiet systemd.mask=waysided.service systemd.setenv=WAYSIDE_CONFIRM_LIMIT_S=60"),
}


def _edit(boot, work, name, change):
    """Changes a text on the boot partition, and its sum where GRUB checks sums."""
    before = subprocess.run(["mtype", "-i", boot, f"::{name}"], check=True, capture_output=True, text=True).stdout
    after = change(before)
    (work / name).write_text(after)
    subprocess.run(["mcopy", "-D", "o", "-i", boot, work / name, f"::{name}"], check=True)
    if name == NAMED_IN["grub"]:
        digest = hashlib.sha256(after.encode()).hexdigest()
        _edit(boot, work, "sums", lambda sums: re.sub(rf"^.*(  /{name})$", rf"{digest}\1", sums, flags=re.MULTILINE))


def make(board, source, keys, folder, version, fault="none"):
    """A bundle of `version` from the bundle `source`; returns its path."""
    work, definition_of_board = folder / f"make-{version}", definition.load(board)
    if work.exists():
        shutil.rmtree(work)
    # A bundle in verity format begins with a squashfs.
    subprocess.run(["unsquashfs", "-quiet", "-no-progress", "-d", work, source], check=True, stdout=subprocess.DEVNULL)
    _edit(work / "boot.img", work, NAMED_IN[definition_of_board.loader["kind"]],
          lambda text: re.sub(r'(version="?)[^"\s]*', rf"\g<1>{version}", FAULTS[fault](text)))
    target = folder / f"{version}.raucb"
    bundle.make(definition_of_board, version, Path(keys), work, target)
    shutil.rmtree(work)
    return target


def stick(path, files, size_mib=192, writable=False):
    """A stick without partitions that has these files {name: path}, as QEMU's arguments."""
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        os.truncate(file.fileno(), size_mib << 20)
    subprocess.run(["mkfs.vfat", "-n", "WAYSIDE-UPD", path], check=True, stdout=subprocess.DEVNULL)
    for name, content in files.items():
        subprocess.run(["mcopy", "-i", path, content, f"::{name}"], check=True)
    protected = "off" if writable else "on"
    return ["-device", "qemu-xhci,id=usb", "-drive", f"if=none,id=stick,format=raw,readonly={protected},file={path}", "-device",
            "usb-storage,drive=stick,id=stick-device"]
