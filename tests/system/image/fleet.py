# SPDX-License-Identifier: Apache-2.0
"""An operator beside the emulated board: authorities, the two brokers of packaging/mosquitto, the provisioning desk."""
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
        self.folder = folder / "operator"
        self.folder.mkdir(exist_ok=True)
        # 10.0.2.2 is this host for the board; the operator's own tools say localhost.
        names = ["--broker", "IP:10.0.2.2", "--broker", "DNS:localhost"]
        self.tool("authority", self.folder / "broker-ca", *names)
        self.tool("authority", self.folder / "claim-ca", *names, "--claim", self.CLAIM)
        own = [f"--{what}={self.folder}/broker-ca/{name}" for what, name in
               (("cafile", "ca.crt"), ("cert", "wayside-operator.crt"), ("key", "wayside-operator.key"))]
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
        return [str(word) for word in (TOOL, "fleet", *words, "--db", self.folder / "fleet.db")]

    def tool(self, *words):
        subprocess.run(self.command(*words), check=True, stdout=subprocess.DEVNULL)

    def text(self, name):
        return (self.folder / name).read_text()

    def settings(self, device):
        return SETTINGS.format(device=device, port=self.broker.port)

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
        self.broker.close()
