# SPDX-License-Identifier: Apache-2.0
"""An emulated machine that starts a Raspberry Pi 5 image: what the board's firmware does up to the kernel is played by its documentation.

autoboot.txt, config.txt, kernel, initrd and command line are read from the disk at each start; the device tree is that of QEMU's machine with
the words that the firmware adds. The disk is an NVMe disk, as one in an M.2 adapter of the board."""
import os
import subprocess
import threading
import time

from tests.image.pi_firmware import Firmware
from tests.system.image import devicetree
from tests.system.image.machine import Disk, Machine

SLOTS = {2: "a", 3: "b"}  # by boot partition
FROM_NVME = 6  # /chosen/bootloader/boot-mode


class PiDisk(Disk):
    """Where the other boards have GRUB's variables this one has autoboot.txt and slots.txt; told under the same names."""

    def text(self, partition, name):
        return self.get(partition, name).decode()

    def kept(self):
        return dict(line.split("=", 1) for line in self.text("esp", "slots.txt").splitlines() if "=" in line)

    def boot_variables(self):
        first = SLOTS[Firmware(lambda: self.text("esp", "autoboot.txt"), SLOTS).start()[0]].upper()
        kept = self.kept()
        return {"ORDER": f"{first} {'B' if first == 'A' else 'A'}", **{f"{slot}_OK": str(int(kept[slot] == "good")) for slot in "AB"},
                **{f"{slot}_TRY": str(int(kept["TRIAL"] == slot)) for slot in "AB"}}

    def set_boot_variables(self, folder, **values):
        numbers = {slot: number for number, slot in SLOTS.items()}
        first, second = (numbers[slot.lower()] for slot in values["ORDER"].split())
        self.put("esp", "autoboot.txt", f"[all]\ntryboot_a_b=1\nboot_partition={first}\n[tryboot]\nboot_partition={second}\n")
        states = "".join(f"{slot}={'good' if values[f'{slot}_OK'] == '1' else 'bad'}\n" for slot in "AB")
        self.put("esp", "slots.txt", f"{states}TRIAL=\nHOW=\nSTARTS=0\n")


class PiMachine(Machine):
    """QEMU ends when the board restarts, and is started again with what the firmware would start then."""

    def __init__(self, board, disk, folder):
        self.power = threading.Event()
        self.runner = None
        super().__init__(board, disk, folder)

    def prepare(self):
        self.machine_tree = self.devicetree(self.folder / "machine.dtb").read_bytes()

    def command(self):
        return [self.board["program"], *self.board["machine"], *self.common(), "-device", "nvme,drive=disk,serial=emulated", "-no-reboot"]

    def firmware(self):
        """What the board's firmware does: chooses the partition, reads config.txt, hands the kernel over. Returns QEMU's options."""
        bootable = [number for number, slot in SLOTS.items() if self.readable(slot)]
        chosen = Firmware(lambda: self.disk.text("esp", "autoboot.txt"), bootable).start()
        if chosen is None:
            raise RuntimeError("no boot partition that the firmware could start")
        number, trial = chosen
        boot = f"boot-{SLOTS[number]}"
        config = dict(line.split("=", 1) for line in self.disk.text(boot, "config.txt").splitlines() if "=" in line)
        initrd = next(line.split()[1] for line in self.disk.text(boot, "config.txt").splitlines() if line.startswith("initramfs "))
        files = {"kernel": self.folder / "pi-kernel", "initrd": self.folder / "pi-initrd", "dtb": self.folder / "pi.dtb"}
        files["kernel"].write_bytes(self.disk.get(boot, config["kernel"]))
        files["initrd"].write_bytes(self.disk.get(boot, initrd))
        files["dtb"].write_bytes(devicetree.with_chosen_node(
            self.machine_tree, "bootloader", {"partition": number, "tryboot": int(trial), "boot-mode": FROM_NVME}))
        words = f"{self.disk.text(boot, config['cmdline']).strip()} {self.extra_words()}"
        return [word for name, file in files.items() for word in (f"-{name}", str(file))] + ["-append", words]

    def readable(self, slot):
        try:
            return b"kernel=" in self.disk.get(f"boot-{slot}", "config.txt")
        except subprocess.CalledProcessError:
            return False  # empty, or no file system any more

    def start(self, *extra):
        self.powered_at = time.monotonic()
        self.serial.unlink(missing_ok=True)
        self.power.set()
        started = threading.Event()
        self.runner = threading.Thread(target=self.run, args=(extra, started), daemon=True)
        self.runner.start()
        started.wait()

    def run(self, extra, started):
        """Until the power goes: each end of QEMU is a restart of the board."""
        while self.power.is_set():
            try:
                self.launch([*self.command(), *self.firmware(), *extra])
            finally:
                started.set()
            if self.process.wait() != 0:
                return

    def alive(self):
        return self.runner is not None and self.runner.is_alive()

    def kill(self):
        self.power.clear()
        while self.alive():
            super().kill()
            self.runner.join(0.2)
