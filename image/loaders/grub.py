# SPDX-License-Identifier: Apache-2.0
"""GRUB on UEFI machines: slots and tries are variables in grubenv, RAUC has a back end for it."""
import hashlib
import re

from image.definition import FOLDER, ImageError, need
from image.tree import install as put
from image.tree import run, sha256_of

KEYS = {"package", "target", "file"}
TYPES = {}
FILES = FOLDER / "loaders/files/grub"
MODULES = ("boot configfile echo eval fat fdt hashsum gcry_sha256 linux loadenv normal part_gpt probe reboot regexp search search_fs_file sleep "
           "test all_video efi_gop minicmd").split()


def packages(definition):
    return [definition.loader["package"]]


def install(definition, tree):
    put(FILES / "slots", tree / "usr/lib/wayside/slots", 0o755)


def initrd_files(definition):
    return {}


def rauc(definition):
    return "bootloader=grub\ngrubenv=/efi/grub/grubenv\n", ""


def slot_files(definition, tree, stage, verity, version):
    arguments = " ".join([*(f"console={console}" for console in definition.console), "quiet"])
    lines = [f'set verity="{verity}"', f'set version="{version}"', f'set arguments="{arguments}"']
    names = ["initrd", "slot.cfg", "vmlinuz"]
    if (stage / "vmlinuz").read_bytes()[:2] != b"MZ":
        raise ImageError("the kernel is no EFI program: GRUB cannot start it; take one that was built with CONFIG_EFI_STUB")
    for name in definition.device_trees:  # one: GRUB has no means to tell boards apart
        names.append(name)
        lines.append(f'set devicetree="/{name}"')
    (stage / "slot.cfg").write_text("\n".join(lines) + "\n")
    (stage / "sums").write_text("".join(f"{sha256_of(stage / name)}  /{name}\n" for name in names))
    return {name: stage / name for name in (*names, "sums")}


def first_partition(definition, unpacked, work, seed):
    from image.slots import make_fat
    loader = work / "loader.efi"
    modules = unpacked / "usr/lib/grub" / definition.loader["target"]
    run("grub-mkimage", "-O", definition.loader["target"], "-d", modules, "-p", "/grub", "-o", loader,
        *(name for name in MODULES if (modules / f"{name}.mod").exists()))
    environment = work / "grubenv"
    environment.unlink(missing_ok=True)
    run("grub-editenv", environment, "create")
    run("grub-editenv", environment, "set", "ORDER=A B", "A_OK=1", "A_TRY=0", "B_OK=0", "B_TRY=0", "EXTRA=")
    make_fat(work / "esp.img", definition.partitions["esp"], "EFI", seed,
             {definition.loader["file"]: loader, "grub/grub.cfg": FILES / "grub.cfg", "grub/grubenv": environment})


def check(definition, listing, read, fetch):
    names = listing("esp")
    for name in (definition.loader["file"], "grub/grub.cfg", "grub/grubenv"):
        need(name in names, f"{name} is not on the EFI partition: {names}")
    need("ORDER=A B\nA_OK=1\nA_TRY=0\nB_OK=0\n" in read("esp", "grub/grubenv"), "grubenv does not choose slot A")
    for line in read("boot-a", "sums").splitlines():
        wanted, name = line.split()
        need(hashlib.sha256(fetch("boot-a", name.lstrip("/"))).hexdigest() == wanted, f"{name} of boot-a does not match its sum")
    for name in definition.device_trees:
        need(f'set devicetree="/{name}"' in read("boot-a", "slot.cfg") and f"  /{name}\n" in read("boot-a", "sums"), f"boot-a has no {name}")
    return re.search(r'verity="([^"]+)"', read("boot-a", "slot.cfg"))[1]
