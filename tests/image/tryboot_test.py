#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The slots of the Pi 5 image: its real handler (files/tryboot/slots) and the played boot ROM, through updates, failures and power cuts."""
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from image.loaders import tryboot  # noqa: E402
from tests.image.pi_firmware import Firmware  # noqa: E402

LETTER = {2: "A", 3: "B"}
# Programs that change the disk; before each call of one power can be lost. What was written and not flushed is then torn.
CUT = """#!/bin/sh
read -r count <"$CUT_COUNT"
count=$((count + 1))
echo $count >"$CUT_COUNT"
[ "$count" != "$CUT_AT" ] || { kill -9 $PPID; exit 1; }
exec REAL "$@"
"""


class Device:
    def __init__(self, folder, how="tryboot"):
        self.efi, self.run, self.bin = folder / "efi", folder / "run", folder / "bin"
        for path in (self.efi, self.run, self.bin):
            path.mkdir()
        (self.efi / "autoboot.txt").write_text(tryboot.AUTOBOOT)
        (self.efi / "slots.txt").write_text(tryboot.SLOTS)
        self.wish, self.vcio, self.count = folder / "reboot-param", folder / "vcio", folder / "count"
        if how == "tryboot":
            self.vcio.touch()
        for name in ("mv", "sync", "rm"):
            program = self.bin / name
            real = next(path for path in (f"/usr/bin/{name}", f"/bin/{name}") if os.path.exists(path))
            program.write_text(CUT.replace("REAL", real if name != "sync" else "true"))
            program.chmod(0o755)
        self.firmware = Firmware(lambda: self.text("autoboot.txt"))
        self.slot = None

    def text(self, name):
        path = self.efi / name
        return path.read_text() if path.exists() else None

    def slots(self, *arguments, cut_at=0):
        """Runs the handler; returns (status, what it said). With cut_at the power goes at that change of the disk."""
        self.count.write_text("0\n")
        environment = {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}", "WAYSIDE_EFI": str(self.efi), "WAYSIDE_RUN": str(self.run),
                       "WAYSIDE_REBOOT_PARAM": str(self.wish), "WAYSIDE_VCIO": str(self.vcio), "CUT_AT": str(cut_at),
                       "CUT_COUNT": str(self.count)}
        done = subprocess.run(["sh", tryboot.FILES / "slots", *arguments], env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout.strip()

    def ask(self, *arguments):
        status, said = self.slots(*arguments)
        assert status == 0, (arguments, status, said)
        return said

    def restart(self, orderly=True):
        """The firmware, then the initrd; returns the slot that runs in the end. orderly: systemd passes its argument on."""
        self.firmware.tryboot_flag = orderly and self.vcio.exists() and self.wish.exists() and self.wish.read_text().strip() == "0 tryboot"
        for _ in range(4):
            self.wish.unlink(missing_ok=True)  # it lies in memory
            partition, trial = self.firmware.start()
            self.slot = LETTER[partition]
            (self.run / "boot").write_text(f"slot={self.slot}\n")
            if self.slots("started", self.slot, str(int(trial)))[0] != 3:
                return self.slot
        raise AssertionError("starts for ever")

    def install(self, slot):
        """What RAUC asks of the handler."""
        self.ask("set-state", slot, "bad")
        self.ask("set-primary", slot)

    def facts(self):
        return self.ask("get-primary"), self.ask("get-state", "A"), self.ask("get-state", "B")


class Tryboot(unittest.TestCase):
    hows = ("tryboot", "direct")

    def device(self, how):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        device = Device(Path(temporary.name), how)
        self.assertEqual(device.restart(), "A")
        return device

    def each(self):
        return [self.device(how) for how in self.hows]

    def test_a_fresh_image_starts_a_and_knows_it(self):
        for device in self.each():
            self.assertEqual(device.facts(), ("A", "good", "bad"))
            self.assertEqual(device.ask("get-current"), "A")

    def test_an_update_is_tried_committed_and_stays_over_power_cuts(self):
        for device in self.each():
            for slot in "BAB":
                device.install(slot)
                self.assertEqual(device.ask("get-primary"), slot)
                self.assertEqual(device.restart(), slot)
                device.ask("set-state", slot, "good")
                for orderly in (False, True):
                    self.assertEqual(device.restart(orderly), slot)
                self.assertEqual(device.facts(), (slot, "good", "good"))

    def test_autoboot_changes_only_at_the_commit_where_the_firmware_can_try(self):
        device = self.device("tryboot")
        device.install("B")
        self.assertEqual(device.text("autoboot.txt"), tryboot.AUTOBOOT)
        self.assertEqual(device.restart(), "B")
        self.assertEqual(device.text("autoboot.txt"), tryboot.AUTOBOOT)
        device.ask("set-state", "B", "good")
        self.assertIn("[all]\ntryboot_a_b=1\nboot_partition=3\n[tryboot]\nboot_partition=2\n", device.text("autoboot.txt"))

    def test_a_trial_that_is_not_confirmed_falls_back_by_itself(self):
        for device in self.each():
            device.install("B")
            self.assertEqual(device.restart(), "B")
            self.assertEqual(device.restart(orderly=False), "A")  # a watchdog, a panic, a power cut
            self.assertEqual(device.facts(), ("A", "good", "bad"))
            self.assertEqual(device.restart(), "A")

    def test_a_kernel_that_never_starts_falls_back(self):
        device = self.device("tryboot")
        device.install("B")
        device.firmware.tryboot_flag = True
        self.assertEqual(device.firmware.start(), (3, True))  # hangs; the watchdog that the firmware armed resets
        self.assertEqual(device.restart(orderly=False), "A")
        self.assertEqual(device.facts(), ("A", "good", "bad"))

    def test_power_lost_before_the_trial_begins_leaves_the_old_slot(self):
        device = self.device("tryboot")
        device.install("B")
        self.assertEqual(device.restart(orderly=False), "A")
        self.assertEqual(device.facts(), ("A", "good", "bad"))
        device.install("B")
        self.assertEqual(device.restart(), "B")

    def test_a_boot_partition_that_cannot_be_read_is_walked_past(self):
        for device in self.each():
            device.install("B")
            device.firmware.bootable = {2}
            self.assertEqual(device.restart(), "A")
            self.assertEqual(device.ask("get-state", "B"), "bad")

    def test_a_committed_slot_that_goes_bad_is_left_where_the_other_is_good(self):
        for device in self.each():
            device.install("B")
            device.restart()
            device.ask("set-state", "B", "good")
            device.ask("set-state", "B", "bad")  # the initrd: its contents do not match the root hash
            self.assertEqual(device.restart(orderly=False), "A")
            device.ask("set-state", "A", "bad")
            self.assertEqual(device.restart(orderly=False), "A")  # none is good: no to and fro

    def test_lost_or_garbled_files_start_a_and_are_made_anew(self):
        for content in (None, "", "\x00" * 600, "[all]\nboot_partition=9\n"):
            device = self.device("tryboot")
            for name in ("autoboot.txt", "slots.txt"):
                (device.efi / name).unlink()
                if content is not None:
                    (device.efi / name).write_text(content)
            self.assertEqual(device.restart(), "A")
            self.assertEqual(device.facts(), ("A", "good", "bad"))
            device.install("B")
            self.assertEqual(device.restart(), "B")
            device.ask("set-state", "B", "good")
            self.assertEqual(device.restart(False), "B")

    def test_wrong_calls_are_refused(self):
        device = self.device("tryboot")
        for call in (["set-primary", "C"], ["set-state", "A", "fine"], ["get-state"], ["explode"], []):
            self.assertEqual(device.slots(*call)[0], 1, call)
        self.assertEqual(device.text("autoboot.txt"), tryboot.AUTOBOOT)

    def test_power_cut_at_every_change_of_the_disk(self):
        def prepare_trial(device):
            device.install("B")
            device.restart()
        def committed_b(device):
            prepare_trial(device)
            device.ask("set-state", "B", "good")
        nothing = lambda device: None  # noqa: E731
        # what came before, the call, what may run after the cut
        calls = {
            "install": (nothing, ("set-primary", "B"), "A", "B"),
            "commit": (prepare_trial, ("set-state", "B", "good"), "A", "B"),
            "leave": (committed_b, ("set-state", "B", "bad"), "A", "B"),
            "give up": (prepare_trial, ("set-state", "B", "bad"), "A", ""),
        }
        cuts = 0
        for how in self.hows:
            for name, (before, call, old, new) in calls.items():
                for at in range(1, 20):
                    device = self.device(how)
                    before(device)
                    if device.slots(*call, cut_at=at)[0] == 0:
                        break
                    cuts += 1
                    self.after_cut(device, (how, name, at), old + new)
        print(f"cuts: {cuts}")
        self.assertGreater(cuts, 20)

    def after_cut(self, device, what, allowed):
        for leftover in device.efi.glob("*.new"):  # perhaps written, not flushed
            leftover.write_bytes(leftover.read_bytes()[:7])
        with self.subTest(cut=what):
            runs = device.restart(orderly=False)
            self.assertIn(runs, allowed)
            self.assertEqual(device.ask("get-state", runs), "good")
            # And an update from here works as ever.
            device.ask("set-state", runs, "good")
            other = "B" if runs == "A" else "A"
            device.install(other)
            self.assertEqual(device.restart(), other)
            device.ask("set-state", other, "good")
            self.assertEqual(device.restart(orderly=False), other)


if __name__ == "__main__":
    unittest.main()
