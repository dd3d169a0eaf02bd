# SPDX-License-Identifier: Apache-2.0
"""RAUC update bundles (verity format) of a slot's contents, and the keys that sign them."""
import os

from image.definition import ImageError
from image.tree import run

KEY, CERTIFICATE = "bundle.key.pem", "bundle.cert.pem"


def make_keys(folder):
    """A key and a self-signed certificate for the bundles of one's own devices; an existing pair is kept.

    The certificate is valid from 1970: a board without a battery-backed clock must be able to take an update."""
    key, certificate = folder / KEY, folder / CERTIFICATE
    if key.exists() and certificate.exists():
        return
    if key.exists() or certificate.exists():
        raise ImageError(f"{folder} has only one of {KEY} and {CERTIFICATE}: put the other beside it, or choose another --keys")
    folder.mkdir(parents=True, exist_ok=True)
    others = os.umask(0o077)  # for the key alone: the folders of the image are made later
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", certificate,
        "-subj", "/O=Wayside/CN=Firmware bundles", "-not_before", "19700101000000Z", "-not_after", "20991231235959Z",
        "-addext", "keyUsage=critical,digitalSignature", "-addext", "extendedKeyUsage=emailProtection")
    os.umask(others)


def make(definition, version, keys, work, target):
    """Signs work/root.img and work/boot.img as a bundle for the definition's board."""
    stage = work / "bundle"
    stage.mkdir(exist_ok=True)
    for name in ("root.img", "boot.img"):
        (stage / name).unlink(missing_ok=True)
        os.link(work / name, stage / name)
    (stage / "manifest.raucm").write_text(f"""[update]
compatible={definition.compatible}
version={version}

[bundle]
format=verity

[image.rootfs]
filename=root.img

[image.boot]
filename=boot.img
""")
    target.unlink(missing_ok=True)
    run("rauc", "bundle", f"--cert={keys / CERTIFICATE}", f"--key={keys / KEY}", "--mksquashfs-args=-comp zstd -Xcompression-level 3", stage, target)
