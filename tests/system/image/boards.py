# SPDX-License-Identifier: Apache-2.0
"""How each board is emulated."""
from tests.system.image.machine import Disk, Machine
from tests.system.image.pi import PiDisk, PiMachine

ARM_FIRMWARE = ("/usr/share/AAVMF/AAVMF_CODE.no-secboot.fd", "/usr/share/AAVMF/AAVMF_VARS.fd")


def virt(cpu, kernel, **more):
    return {"program": "qemu-system-aarch64", "machine": ["-machine", "virt", "-cpu", cpu, "-device", "i6300esb"], "firmware": ARM_FIRMWARE,
            "kernel": kernel, **more}


# A disk of a board that has a device tree, on a machine that is not the board: UEFI stands for U-Boot, and slot A gets the device tree of
# the machine in place of the board's. Everything behind the first loader is as on the board.
def with_devicetree(cpu):
    return virt(cpu, "mitigations=off console=ttyAMA0", devicetree="board.dtb")


# The loopback of this host is 10.0.2.2 for the board (QEMU's user-mode network).
BOARDS = {
    "core-i5": {
        "program": "qemu-system-x86_64", "machine": ["-machine", "q35", "-cpu", "max"],
        "firmware": ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
        # An emulated clock beside others on two cores is no clock that the kernel would accept.
        "kernel": "no_timer_check mitigations=off",
    },
    "arm64-generic": virt("cortex-a76", "mitigations=off"),
    "rock5-itx": with_devicetree("cortex-a76"),
    "jetson-nano-mainline": with_devicetree("cortex-a57"),
    "pi5-hailo8": virt("cortex-a76", "mitigations=off console=ttyAMA0", disk=PiDisk, emulation=PiMachine),
}


def disk(board, image, path):
    return BOARDS[board].get("disk", Disk)(image, path)


def machine(board, disk_of_board, folder):
    return BOARDS[board].get("emulation", Machine)(BOARDS[board], disk_of_board, folder)
