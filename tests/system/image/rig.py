# SPDX-License-Identifier: Apache-2.0
"""What the scenarios of firmware images share: a machine, its disk, a broker, waiting for what the board says, the command line."""
import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.system.image import boards, bundles, machine as emulated

PROJECT = Path(__file__).resolve().parents[3]
# For one scenario of up to three starts and an installation, beside other work on two cores.
LIMIT_S = int(os.environ.get("WAYSIDE_IMAGE_LIMIT_S", "1500"))


class Failed(Exception):
    pass


class Rig:
    def __init__(self, board, keys, folder):
        self.board, self.keys, self.folder = board, keys, folder
        images = PROJECT / "build/image" / board
        self.bundle = emulated.newest(images, "*.raucb")
        image = emulated.newest(images, "*.img.zst")
        if image is None or self.bundle is None:
            sys.exit(f"image test: no image in {images}: make it with ./dev image {board}")
        self.broker = emulated.Broker(folder)
        kept = folder / "disk.img"
        self.disk = boards.disk(board, None if kept.exists() else image, kept)
        self.restore_settings()
        self.machine = boards.machine(board, self.disk, folder)

    def too_late(self):
        return self.machine.complaint() or f"not seen within {LIMIT_S} s"

    def restore_settings(self):
        """Settings for this rig's broker, and no claim."""
        self.disk.put("config", "wayside.yaml", emulated.SETTINGS.format(port=self.broker.port))
        self.disk.remove_folder("config", "claim")

    def power_on(self, *extra):
        """Starts the machine; messages of before do not count."""
        self.machine.kill()
        self.broker.forget()
        self.machine.start(*extra)

    def stick(self, version, fault="none"):
        bundle = bundles.make(self.board, self.bundle, self.keys, self.folder, version, fault)
        return bundles.stick(self.folder / "stick.img", {"update.raucb": bundle})

    def message(self, wanted, what):
        """The first message for which wanted(topic, payload) holds, and the seconds since the power-on."""
        found = self.broker.wait(wanted, time.monotonic() + LIMIT_S, self.machine.alive)
        if found is None:
            raise Failed(f"{what}: {self.too_late()}; boot variables {self.disk.boot_variables()}")
        return found[2], round(found[0] - self.machine.powered_at, 1)

    def software(self, wanted, what):
        """What the board says about itself, as soon as it is as wanted."""
        payload, seconds = self.message(lambda topic, payload: topic.endswith("/twin/software") and wanted(payload.get("os") or {}), what)
        return payload["os"], seconds

    def boot_state(self, wanted, what):
        """The boot loader's variables, as soon as they are as wanted (the EFI partition is written through)."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline and self.machine.alive():
            try:
                variables = self.disk.boot_variables()
                if wanted(variables):
                    return variables
            except Exception:  # a half-written sector is looked at again
                pass
            time.sleep(1)
        raise Failed(f"{what}: {self.too_late()}; boot variables {variables}")

    def console(self, wanted, what):
        """Waits until the console has had this text; returns its line."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline and self.machine.alive():
            for line in self.machine.console().splitlines():
                if wanted in line:
                    return line.strip()
            time.sleep(1)
        raise Failed(f"{what}, on the console: {self.too_late()}")


def main(scenarios, description):
    """The command line of a script with scenarios {name: function of a Rig that returns facts or raises Failed}."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("board")
    parser.add_argument("scenario", nargs="*", choices=[[], *scenarios])
    parser.add_argument("--keys", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="folder that keeps the disk and the console's log; a disk in it is gone on with")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # QEMU and the broker end with us
    results, failed = {}, False
    with tempfile.TemporaryDirectory(prefix="wayside-image-") as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rig = Rig(arguments.board, arguments.keys, folder)
        try:
            for name in arguments.scenario or scenarios:
                try:
                    results[name] = {"passed": True, **scenarios[name](rig)}
                except Failed as problem:
                    results[name], failed = {"passed": False, "problem": str(problem)}, True
                    print(rig.machine.console()[-4000:], file=sys.stderr)
                print(name, json.dumps(results[name]), flush=True)
        finally:
            rig.machine.kill()
            rig.broker.close()
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    sys.exit(1 if failed else 0)
