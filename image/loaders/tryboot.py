# SPDX-License-Identifier: Apache-2.0
"""Raspberry Pi 5: the firmware in the board's EEPROM reads config.txt of the boot partition that autoboot.txt names; trials by "tryboot"."""
import re

from image.definition import FOLDER, need
from image.tree import install as put

# 'watchdog_s': armed by the firmware before it starts the kernel (its hardware ends at 15.99 s); 'open_s': how long the kernel keeps
# it quiet until systemd takes it over. 'config': further lines of config.txt; 'vendor_config': those of a vendor kernel.
KEYS = {"watchdog_s", "open_s", "config", "vendor_config"}
# The firmware takes FAT partitions of a GPT by this type (basic data).
TYPES = dict.fromkeys(("esp", "boot"), "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7")
FILES = FOLDER / "loaders/files/tryboot"
AUTOBOOT = "[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n"
SLOTS = "A=good\nB=bad\nTRIAL=\nHOW=\nSTARTS=0\n"
SECTOR = 512


def packages(definition):
    return []


def install(definition, tree):
    put(FILES / "slots", tree / "usr/lib/wayside/slots", 0o755)


def initrd_files(definition):
    return {"bin/slots": FILES / "slots"}


def rauc(definition):
    return "bootloader=custom\n", "\n[handlers]\nbootloader-custom-backend=/usr/lib/wayside/slots\n"


def config_text(definition):
    lines = ["# Made with the image: changed here, it is overwritten by the next update.", "arm_64bit=1", "kernel=vmlinuz", "initramfs initrd followkernel",
             "cmdline=cmdline.txt", "enable_uart=1", f"kernel_watchdog_timeout={definition.loader['watchdog_s']}", *definition.loader["config"],
             *(definition.loader["vendor_config"] if definition.with_vendor else [])]
    return "\n".join(lines) + "\n"


def slot_files(definition, tree, stage, verity, version):
    consoles = [f"console={console}" for console in definition.console]
    words = [*consoles, "quiet", "panic=5", f"watchdog.open_timeout={definition.loader['open_s']}", f"wayside.verity={verity}", f"wayside.version={version}"]
    (stage / "cmdline.txt").write_text(" ".join(words) + "\n")
    (stage / "config.txt").write_text(config_text(definition))
    return {name: stage / name for name in ("cmdline.txt", "config.txt", "initrd", "vmlinuz")}


def first_partition(definition, unpacked, work, seed):
    from image.slots import make_fat
    for name, text in (("autoboot.txt", AUTOBOOT), ("slots.txt", SLOTS)):
        (work / name).write_text(text)
    make_fat(work / "esp.img", definition.partitions["esp"], "AUTOBOOT", seed, {name: work / name for name in ("autoboot.txt", "slots.txt")})


def check(definition, listing, read, fetch):
    need(len(read("esp", "autoboot.txt")) <= SECTOR and read("esp", "autoboot.txt") == AUTOBOOT, "autoboot.txt does not choose slot A")
    need(read("esp", "slots.txt") == SLOTS, "slots.txt does not call slot A good")
    names = listing("boot-a")
    config = read("boot-a", "config.txt")
    need(config == config_text(definition), "config.txt is not the definition's")
    for name in ("vmlinuz", "initrd", "cmdline.txt"):
        need(name in names, f"{name} is not on boot-a: {names}")
    # What the firmware can start: an Image (its magic at 56) or one in gzip; not an EFI program that unpacks itself.
    kernel = fetch("boot-a", "vmlinuz")
    need(kernel[56:60] == b"ARMd" and kernel[4:8] != b"zimg" or kernel[:2] == b"\x1f\x8b", "vmlinuz is no kernel that the firmware can start")
    for name in definition.device_trees:
        need(name in names, f"{name} is not on boot-a: {names}")
        tree = fetch("boot-a", name)
        need(tree[:4] == b"\xd0\x0d\xfe\xed" and b"raspberrypi,5-model-b" in tree, f"{name} is no device tree of the board")
    wanted = re.findall(r"^dtoverlay=([^,\s]+)", config, re.MULTILINE)
    missing = [name for name in wanted if f"overlays/{name}.dtbo" not in names]
    need(not missing, f"config.txt wants overlays that are not there: {missing}")
    need(not definition.with_vendor or any(name.startswith("overlays/") for name in names), "the vendor kernel brought no overlays")
    command_line = read("boot-a", "cmdline.txt")
    need(command_line.count("\n") == 1 and "panic=" in command_line and "watchdog.open_timeout=" in command_line, "cmdline.txt is not one line with its limits")
    return re.search(r"wayside\.verity=(\S+)", command_line)[1]
