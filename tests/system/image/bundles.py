# SPDX-License-Identifier: Apache-2.0
"""Update bundles made from the bundle of a built image: another version, with or without a fault, signed anew; and sticks with them."""
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from image import bundle, definition

def _other_hash(text):
    start = text.index('verity="')
    fields = text[start:].split('"')[1].split(":")
    return text.replace(fields[2], hashlib.sha256(fields[2].encode()).hexdigest())


# What makes a system bad: an edit of slot.cfg, which GRUB reads.
FAULTS = {
    "none": lambda text: text,
    # The root hash of another root file system: dm-verity refuses the first block.
    "root-hash": _other_hash,
    # The agent never runs; the judgement comes after a minute instead of ten.
    "no-agent": lambda text: text.replace("quiet", "quiet systemd.mask=waysided.service systemd.setenv=WAYSIDE_CONFIRM_LIMIT_S=60"),
}


def make(board, source, keys, folder, version, fault="none"):
    """A bundle of `version` from the bundle `source`; returns its path."""
    work = folder / f"make-{version}"
    if work.exists():
        shutil.rmtree(work)
    # A bundle in verity format begins with a squashfs.
    subprocess.run(["unsquashfs", "-quiet", "-no-progress", "-d", work, source], check=True, stdout=subprocess.DEVNULL)
    text = subprocess.run(["mtype", "-i", work / "boot.img", "::slot.cfg"], check=True, capture_output=True, text=True).stdout
    lines = [f'set version="{version}"' if line.startswith("set version=") else line for line in FAULTS[fault](text).splitlines()]
    (work / "slot.cfg").write_text("\n".join(lines) + "\n")
    sums = subprocess.run(["mtype", "-i", work / "boot.img", "::sums"], check=True, capture_output=True, text=True).stdout.splitlines()
    digest = hashlib.sha256((work / "slot.cfg").read_bytes()).hexdigest()
    (work / "sums").write_text("".join((f"{digest}  /slot.cfg" if line.endswith("/slot.cfg") else line) + "\n" for line in sums))
    for name in ("slot.cfg", "sums"):
        subprocess.run(["mcopy", "-D", "o", "-i", work / "boot.img", work / name, f"::{name}"], check=True)
    target = folder / f"{version}.raucb"
    bundle.make(definition.load(board), version, Path(keys), work, target)
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
