# SPDX-License-Identifier: Apache-2.0
"""An emulated board that runs a firmware image, and a broker of this host that listens to it. Needs no privilege, no KVM."""
import contextlib
import hashlib
import json
import os
import queue
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

MEBIBYTE = 1 << 20
SETTINGS = """version: 1
device: {{id: board-1, name: Emulated board}}
mqtt: {{host: 10.0.2.2, port: {port}}}
camera: {{source: "synthetic:seed=1", width_px: 640, height_px: 360, rate_hz: 0.5}}
models:
  - {{role: detector, file: /usr/share/wayside/models/street.tflite}}
telemetry: {{interval_s: 5}}
"""


OPEN = "listener @PORT@ 127.0.0.1\nallow_anonymous true\npersistence false\n"


def start_broker(config, file):
    """mosquitto with this configuration, in which @PORT@ stands for a free port; returns the process and the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    file.write_text(config.replace("@PORT@", str(port)))
    server = subprocess.Popen(["mosquitto", "-c", file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    return server, port


class Broker:
    """mosquitto on a free port of the loopback; every message is put into a queue with the time of its arrival."""

    def __init__(self, folder, config=OPEN, listen=()):
        self.messages = queue.Queue()
        self.log = []
        self.server, self.port = start_broker(config, folder / "mosquitto.conf")
        # -R: not what a kept broker remembers of an earlier run; -T: not the pieces of files, which are no text.
        self.client = subprocess.Popen(["mosquitto_sub", "-R", "-p", str(self.port), "-t", "te/#", "-T", "te/device/+/+/+/blob/#",
                                        "-F", "%t\t%p", *listen], stdout=subprocess.PIPE, text=True, errors="replace")
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.client.stdout:
            topic, _, payload = line.rstrip("\n").partition("\t")
            try:
                message = (time.monotonic(), topic, json.loads(payload) if payload else None)
            except ValueError:
                continue
            self.log.append(message)
            self.messages.put(message)

    def forget(self):
        """What has come until now does not count any more."""
        while not self.messages.empty():
            self.messages.get()

    def wait(self, wanted, deadline, alive):
        """The first message from now on for which wanted(topic, payload) holds; None at the deadline or when not alive()."""
        while time.monotonic() < deadline and alive():
            try:
                at, topic, payload = self.messages.get(timeout=1)
            except queue.Empty:
                continue
            if payload is not None and wanted(topic, payload):
                return at, topic, payload
        return None

    def close(self):
        for process in (self.client, self.server):
            process.terminate()
            process.wait()


class Disk:
    """A copy of an image on a larger disk, or (image None) the one that is there, with ways to look into it and to spoil it."""

    def __init__(self, image, path, size_mib=1600):
        if image is not None:
            subprocess.run(["zstd", "-qdf", "--sparse", image, "-o", path], check=True)
            os.truncate(path, size_mib * MEBIBYTE)
        self.path = path
        self.shown_mib = None  # a board is shown less of it, and what it writes is dropped
        table = json.loads(subprocess.run(["sfdisk", "--json", path], check=True, capture_output=True, text=True).stdout)
        parts = table["partitiontable"]["partitions"]
        self.offsets = {part["name"]: part["start"] * 512 for part in parts}

    def drive(self):
        return f"format=raw,file={self.path}" + (f",size={self.shown_mib}M,snapshot=on" if self.shown_mib else "")

    def remove_folder(self, partition, name):
        subprocess.run(["mdeltree", "-i", f"{self.path}@@{self.offsets[partition]}", f"::{name}"], check=False, capture_output=True)

    def make_folder(self, partition, name):
        self.remove_folder(partition, name)
        subprocess.run(["mmd", "-i", f"{self.path}@@{self.offsets[partition]}", f"::{name}"], check=True)

    @contextlib.contextmanager
    def last_partition(self, file, back=False):
        """The data partition as a file of its own; `back`: what was done to the file is done to the disk."""
        start = self.offsets["data"]
        table = json.loads(subprocess.run(["sfdisk", "--json", self.path], check=True, capture_output=True, text=True).stdout)
        size = table["partitiontable"]["partitions"][-1]["size"] * 512
        def copy(source, source_at, target, target_at):
            subprocess.run(["dd", f"if={source}", f"of={target}", "bs=1M", f"skip={source_at}", f"seek={target_at}", f"count={size}",
                            "iflag=skip_bytes,count_bytes", "oflag=seek_bytes", "conv=notrunc,sparse" if target == file else "conv=notrunc"],
                           check=True, capture_output=True)
        file.unlink(missing_ok=True)
        with file.open("wb") as empty:
            os.truncate(empty.fileno(), size)
        copy(self.path, start, file, 0)
        # The machine lost its power: debugfs neither reads what only the journal has nor keeps the journal from being written over it.
        if subprocess.run(["e2fsck", "-p", file], capture_output=True).returncode > 1:
            raise RuntimeError("the data partition cannot be repaired after a power cut")
        yield file
        if back:
            copy(file, 0, self.path, start)
        file.unlink()

    def put(self, partition, name, text):
        subprocess.run(["mcopy", "-D", "o", "-i", f"{self.path}@@{self.offsets[partition]}", "-", f"::{name}"], input=text.encode(), check=True)

    def put_file(self, partition, name, file):
        subprocess.run(["mcopy", "-D", "o", "-i", f"{self.path}@@{self.offsets[partition]}", file, f"::{name}"], check=True)

    def get(self, partition, name):
        return subprocess.run(["mtype", "-i", f"{self.path}@@{self.offsets[partition]}", f"::{name}"], check=True, capture_output=True).stdout

    def boot_variables(self):
        lines = self.get("esp", "grub/grubenv").decode().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))

    def set_boot_variables(self, folder, **values):
        file = folder / "grubenv"
        file.write_bytes(self.get("esp", "grub/grubenv"))
        subprocess.run(["grub-editenv", file, "set", *(f"{key}={value}" for key, value in values.items())], check=True)
        self.put_file("esp", "grub/grubenv", file)

    def copy_slot(self, source, target):
        """Slot `target` ("a" or "b") gets the contents of the other, as an installation would leave them."""
        with self.path.open("r+b") as file:
            for kind in ("boot", "root"):
                size = min(abs(self.offsets[f"{kind}-b"] - self.offsets[f"{kind}-a"]), 1 << 30)
                for position in range(0, size, MEBIBYTE):
                    file.seek(self.offsets[f"{kind}-{source}"] + position)
                    chunk = file.read(MEBIBYTE)
                    file.seek(self.offsets[f"{kind}-{target}"] + position)
                    file.write(chunk)

    def damage(self, partition, offset, count=4096):
        with self.path.open("r+b") as file:
            file.seek(self.offsets[partition] + offset)
            old = file.read(count)
            file.seek(self.offsets[partition] + offset)
            file.write(bytes(byte ^ 0xFF for byte in old))


class Machine:
    """QEMU with a disk; started again by start() after kill(), as after a power cut."""

    def __init__(self, board, disk, folder):
        """`board`: an entry of boards.BOARDS."""
        self.board, self.disk, self.folder = board, disk, folder
        self.serial = folder / "serial.log"
        self.process = None
        self.powered_at = 0.0
        self.prepare()

    def prepare(self):
        """Firmware's variables, the kernel's further words, the device tree."""
        code, variables = self.board["firmware"]
        self.code, self.variables = code, self.folder / "efi-variables"
        shutil.copyfile(variables, self.variables)
        self.disk.set_boot_variables(self.folder, EXTRA=self.extra_words())
        if "devicetree" in self.board:
            self.own_devicetree(self.board["devicetree"])

    def extra_words(self):
        """Words of the kernel's command line that only an emulated board needs."""
        return f"{self.board['kernel']} {os.environ.get('WAYSIDE_IMAGE_KERNEL', '')}".strip()

    def devicetree(self, file):
        """Writes QEMU's device tree of this machine."""
        subprocess.run([f"{word},dumpdtb={file}" if word == "virt" else word for word in self.command()], check=True, capture_output=True)
        return file

    def own_devicetree(self, name):
        """The device tree of the emulated machine under the name of the board's in slot A, with its sum."""
        file = self.devicetree(self.folder / name)
        self.disk.put_file("boot-a", name, file)
        lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  /{name}" if line.endswith(f"/{name}") else line
                 for line in self.disk.get("boot-a", "sums").decode().splitlines()]
        self.disk.put("boot-a", "sums", "\n".join(lines) + "\n")

    def common(self):
        """Processors, memory, disk (without its device), network, console."""
        accelerator = os.environ.get("WAYSIDE_QEMU_ACCEL", "tcg,thread=multi")
        return ["-accel", accelerator, "-smp", "2", "-m", "1024", "-nodefaults", "-display", "none", "-drive", f"if=none,id=disk,{self.disk.drive()}",
                "-nic", "user,model=virtio-net-pci", "-device", "virtio-rng-pci", "-chardev", f"file,id=console,append=on,path={self.serial}",
                "-serial", "chardev:console"]

    def command(self):
        return [self.board["program"], *self.board["machine"], *self.common(), "-drive",
                f"if=pflash,format=raw,unit=0,readonly=on,file={self.code}", "-drive", f"if=pflash,format=raw,unit=1,file={self.variables}",
                "-device", "virtio-blk-pci,drive=disk,bootindex=0"]

    def start(self, *extra):
        self.powered_at = time.monotonic()
        self.serial.unlink(missing_ok=True)
        self.launch([*self.command(), *extra])

    def launch(self, command):
        with (self.folder / "qemu.log").open("w") as log:
            # TMPDIR: what is written to a disk that is shown smaller than it is goes there and is dropped.
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
                                            env={**os.environ, "TMPDIR": str(self.folder)})

    def alive(self):
        return self.process.poll() is None

    def complaint(self):
        """Why QEMU has ended by itself, or None."""
        return None if self.alive() else f"QEMU has ended ({self.process.returncode}): {(self.folder / 'qemu.log').read_text().strip()}"

    def kill(self):
        """As a power cut: nothing is flushed."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def console(self):
        return self.serial.read_text(errors="replace") if self.serial.exists() else ""


def newest(folder, pattern):
    found = sorted(Path(folder).glob(pattern), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None
