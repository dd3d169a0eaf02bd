# SPDX-License-Identifier: Apache-2.0
"""An operator beside the emulated board: authorities, the two brokers of packaging/mosquitto, the provisioning desk, firmware roll-outs."""
import json
import shutil
import subprocess
from pathlib import Path

from tests.system.image import machine as emulated

PROJECT = Path(__file__).resolve().parents[3]
TOOL = PROJECT / "build/host/fleet/wayside"
SETTINGS = """version: 1
device: {{id: {device}}}
mqtt:
  host: 10.0.2.2
  port: {port}
  tls: {{ca: /etc/wayside/tls/ca.crt, cert: /etc/wayside/tls/device.crt, key: /etc/wayside/tls/device.key}}
camera: {{source: "synthetic:seed=1", width_px: 640, height_px: 360, rate_hz: 0.5}}
models:
  - {{role: detector, file: /usr/share/wayside/models/street.tflite}}
"""


class Operator:
    CLAIM = "batch-7"

    def __init__(self, folder):
        self.folder = (folder / "operator").resolve()
        self.folder.mkdir(exist_ok=True)
        self.server = None
        self.program = shutil.copy2(TOOL, self.folder / "wayside")  # a build meanwhile does not take it away
        # 10.0.2.2 is this host for the board; the operator's own tools say localhost.
        names = ["--broker", "IP:10.0.2.2", "--broker", "DNS:localhost"]
        self.fresh = not (self.folder / "broker-ca").exists()  # a kept folder goes with a kept disk, which has a certificate of it
        if self.fresh:
            self.tool("authority", self.folder / "broker-ca", *names)
            self.tool("authority", self.folder / "claim-ca", *names, "--claim", self.CLAIM)
        own = [f"--{what}={self.folder}/broker-ca/{name}" for what, name in
               (("cafile", "ca.crt"), ("cert", "wayside-monitor.crt"), ("key", "wayside-monitor.key"))]
        self.broker = emulated.Broker(self.folder, self.config("wayside.conf", "broker", "broker-ca", "fleet.acl", 8883),
                                      [word for option in own for word in option.split("=")])
        self.claims, self.claim_port = emulated.start_broker(
            self.config("provisioning.conf", "provisioning", "claim-ca", "provisioning.acl", 8884), self.folder / "claims.conf")
        self.desk = subprocess.Popen(self.command("provision", "--authority", self.folder / "broker-ca", "--host", "localhost", "--port",
                                                  self.claim_port, "--ca", self.folder / "claim-ca/ca.crt", "--cert",
                                                  self.folder / "claim-ca/wayside-operator.crt", "--key",
                                                  self.folder / "claim-ca/wayside-operator.key"), stdout=subprocess.DEVNULL)

    def config(self, name, shipped_folder, folder, acl, port):
        """The shipped file with another port and other folders, nothing else changed."""
        text = (PROJECT / "packaging/mosquitto" / name).read_text()
        (self.folder / folder / acl).write_text((PROJECT / "packaging/mosquitto" / acl).read_text())
        text = text.replace(f"listener {port}", "listener @PORT@ 127.0.0.1").replace(f"/etc/wayside/{shipped_folder}", f"{self.folder}/{folder}")
        return f"{text}\nuser root\npersistence_location {self.folder}/\n"

    def command(self, *words):
        return [str(word) for word in (self.program, "fleet", *words, "--db", self.folder / "fleet.db")]

    def tool(self, *words):
        subprocess.run(self.command(*words), check=True, stdout=subprocess.DEVNULL)

    def sign(self, *words):
        subprocess.run([str(word) for word in (self.program, *words)], check=True, stdout=subprocess.DEVNULL, cwd=self.folder)

    def make_root(self):
        """Keys and the first root document; returns its text."""
        roles = ("root", "packages", "rollouts")
        if (self.folder / "root.json").exists():
            return self.text("root.json")
        for name in roles:
            self.sign("keys", "new", name)
        self.sign("keys", "root", *(word for name in roles for word in (f"--{name}", f"{name}.pub.pem")), "--sign", "root.key.pem",
                  "-o", "root.json")
        return self.text("root.json")

    def as_user(self, name):
        """Options of a tool that connects under this name of fleet.acl."""
        folder = self.folder / "broker-ca"
        return ("--host", "localhost", "--port", self.broker.port, "--ca", folder / "ca.crt", "--cert", folder / f"{name}.crt",
                "--key", folder / f"{name}.key")

    def serve(self):
        """A chunk server, until the operator ends."""
        (self.folder / "repository").mkdir(exist_ok=True)
        self.server = subprocess.Popen([str(word) for word in (self.program, "fleet", "serve", "--repository", self.folder / "repository",
                                                               *self.as_user("wayside-server-1"))], stdout=subprocess.DEVNULL)

    def push_firmware(self, bundle, version, compatible, rollout):
        """Packs, signs and pushes a bundle to all devices; the running tool, whose output is in ROLLOUT.log."""
        recipe = {"role": "firmware", "name": "wayside-os", "version": version, "security_counter": 1, "boards": [],
                  "variants": [{"id": "board", "file": str(bundle.resolve()), "requires": {"compatible": compatible},
                                "provides": [{"accelerator": "cpu-int8", "versions": {}}]}]}
        (self.folder / f"{rollout}.json").write_text(json.dumps(recipe))
        self.sign("package", "make", f"{rollout}.json", "-o", f"{rollout}.wmp")
        self.sign("package", "sign", f"{rollout}.wmp", "--key", "packages.key.pem")
        log = (self.folder / f"{rollout}.log").open("w")
        return subprocess.Popen(self.command("push", self.folder / f"{rollout}.wmp", "--trust", self.folder / "root.json", "--sign",
                                             self.folder / "rollouts.key.pem", "--repository", self.folder / "repository", "--id", rollout,
                                             "--waves", 100, "--soak", 1, "--min-executed", 1, *self.as_user("wayside-operator")),
                                stdout=log, stderr=log)

    def text(self, name):
        return (self.folder / name).read_text()

    def settings(self, device, more=""):
        return SETTINGS.format(device=device, port=self.broker.port) + more

    def claim(self):
        """The folder "claim" of a device's config partition."""
        files = {name: self.text(f"claim-ca/{name}") for name in ("ca.crt", f"{self.CLAIM}.crt", f"{self.CLAIM}.key")}
        return {**files, "server": f"10.0.2.2:{self.claim_port}\n"}

    def close_desk(self):
        for process in (self.desk, self.claims):
            process.terminate()
            process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close_desk()
        if self.server:
            self.server.terminate()
            self.server.wait()
        self.broker.close()
