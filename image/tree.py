# SPDX-License-Identifier: Apache-2.0
"""The root file system as a folder: packages unpacked (no maintainer script runs), pruned, overlaid, set up offline."""
import hashlib
import re
import shutil
import subprocess
from pathlib import Path

from image import loaders
from image.definition import FOLDER, ImageError

PROJECT = FOLDER.parent
# Mount points of a read-only root, and what the initrd and the first boot need.
FOLDERS = ("dev", "proc", "sys", "run", "tmp", "var", "config", "efi", "root", "etc/rauc", "usr/share/wayside")
LINKS = {
    "etc/resolv.conf": "/run/systemd/resolve/stub-resolv.conf",
    "etc/mtab": "../proc/self/mounts",
    "etc/os-release": "../usr/lib/os-release",
    "etc/wayside": "/run/wayside",
    "sbin/init": "../lib/systemd/systemd",
}


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or done.stdout.splitlines() or ["no message"]
        raise ImageError(f"{command[0]} failed ({done.returncode}): {lines[-1]}")
    return done.stdout


def sha256_of(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def unpack(pool, without, tree):
    """Unpacks each package of the pool but those; returns what was unpacked as [name, version, architecture, file]."""
    packages = []
    for deb in sorted(pool.glob("*.deb")):
        name, version, architecture = run("dpkg-deb", "--show", "--showformat=${Package}\t${Version}\t${Architecture}", deb).split("\t")
        if name in without:
            continue
        run("dpkg-deb", "--extract", deb, tree)
        packages.append({"name": name, "version": version, "architecture": architecture, "file": deb})
    if not packages:
        raise ImageError(f"{pool}: no packages there; remove the folder and run again")
    return packages


def kernel(tree):
    """The kernel's file: in /boot until Debian 13, beside its modules since."""
    kernels = sorted([*(tree / "boot").glob("vmlinuz-*"), *tree.glob("usr/lib/modules/*/vmlinuz")])
    if len(kernels) != 1:
        raise ImageError(f"the packages hold {len(kernels)} kernels, one is needed: 'kernels' of the board's definition")
    return kernels[0]


def kernel_release(tree):
    file = kernel(tree)
    return file.parent.name if file.name == "vmlinuz" else file.name.removeprefix("vmlinuz-")


def prune(definition, tree):
    keep = {path for pattern in definition.with_paths for path in tree.glob(pattern)}
    for pattern in definition.without_paths:
        for path in sorted(tree.glob(pattern)):
            if path not in keep:
                remove(path)
    modules = tree / "usr/lib/modules" / kernel_release(tree) / "kernel"
    for pattern in definition.without_modules:
        for path in sorted(modules.glob(pattern)):
            remove(path)
    # The data partition comes to lie over /var: what packages put there would never be seen.
    for path in (tree / "var").iterdir():
        remove(path)


def install(source, target, mode):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


# From this kernel on Debian's RAUC (1.13) needs help with bundles in verity format: agent/rauc/verity_status.h.
RAUC_KERNEL = (6, 19)
OBJCOPY = {"amd64": "x86_64-linux-gnu-objcopy", "arm64": "aarch64-linux-gnu-objcopy"}


def add_programs(tree, binaries, architecture, further=()):
    """Our programs, also those in `further`, and the shipped model."""
    for program in ("agent/waysided", "agent/wayside-fetch", "agent/wayside-enroll", *further):
        target = tree / "usr/bin" / Path(program).name
        install(binaries / program, target, 0o755)
        # The build id depends on the folder of the build; nothing else of the debug information is shipped either.
        run(OBJCOPY[architecture], "--strip-all", "--remove-section=.note.gnu.build-id", target)
    for model in ("street.tflite", "street.yaml"):
        install(PROJECT / "models/street" / model, tree / "usr/share/wayside/models" / model, 0o644)


def add_project(definition, tree, binaries):
    """The programs and their units; then the overlay, which may change any of it."""
    add_programs(tree, binaries, definition.architecture, ["agent/wayside-wifi"] if definition.wifi else [])
    if tuple(map(int, re.findall(r"\d+", kernel_release(tree))[:2])) >= RAUC_KERNEL:
        library = tree / "usr/lib/wayside/rauc-verity-status.so"
        install(binaries / "agent/rauc-verity-status.so", library, 0o644)
        run(OBJCOPY[definition.architecture], "--strip-all", "--remove-section=.note.gnu.build-id", library)
        unit = tree / "usr/lib/systemd/system/rauc.service.d/verity-status.conf"
        unit.parent.mkdir(parents=True)
        unit.write_text("[Service]\nEnvironment=LD_PRELOAD=/usr/lib/wayside/rauc-verity-status.so\n")
    for unit in ("waysided.service", "wayside-restart.path"):
        install(PROJECT / "packaging/systemd" / unit, tree / "usr/lib/systemd/system" / unit, 0o644)
    install(PROJECT / "packaging/dbus/wayside-rauc.conf", tree / "usr/share/dbus-1/system.d/wayside-rauc.conf", 0o644)
    for source in sorted((FOLDER / "overlay").rglob("*")):
        if source.is_file():
            executable = source.read_bytes()[:2] == b"#!"
            install(source, tree / source.relative_to(FOLDER / "overlay"), 0o755 if executable else 0o644)


def link(tree, name, target):
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def set_up(definition, tree, version):
    """What maintainer scripts and the first boot would do on a writable system."""
    for folder in FOLDERS:
        (tree / folder).mkdir(parents=True, exist_ok=True)
    for name, target in LINKS.items():
        link(tree, name, target)
    for applet in definition.busybox:
        if not any((tree / folder / applet).exists() for folder in ("usr/bin", "usr/sbin")):
            link(tree, f"usr/bin/{applet}", "busybox")
    for suffix in ("", ".p7s"):  # the maintainer script's choice between Debian's file and the one from upstream
        if (tree / f"usr/lib/firmware/regulatory.db{suffix}-debian").is_file():
            link(tree, f"usr/lib/firmware/regulatory.db{suffix}", f"regulatory.db{suffix}-debian")
    (tree / "etc/machine-id").touch()  # the initrd mounts the device's own over it
    with (tree / "usr/lib/os-release").open("a") as release:
        release.write(f"IMAGE_ID=wayside-{definition.board}\nIMAGE_VERSION={version}\n")
    presets = "".join(f"enable {unit}\n" for unit in definition.enable) + "disable *\n"
    preset = tree / "usr/lib/systemd/system-preset/00-wayside.preset"
    preset.parent.mkdir(parents=True, exist_ok=True)
    preset.write_text(presets)
    for path in tree.rglob("*"):  # no program of a device needs another's rights
        if not path.is_symlink() and path.stat().st_mode & 0o6000:
            path.chmod(path.stat().st_mode & 0o1777)
    run("systemd-sysusers", f"--root={tree}")
    for leftover in ("passwd-", "group-", "shadow-", "gshadow-", ".pwd.lock"):
        (tree / "etc" / leftover).unlink(missing_ok=True)
    run("systemctl", f"--root={tree}", "preset-all")
    # Afterwards: presets would take these links away again.
    link(tree, "etc/systemd/system/default.target", "/usr/lib/systemd/system/multi-user.target")
    for unit in definition.mask:
        link(tree, f"etc/systemd/system/{unit}", "/dev/null")
    run("depmod", "-b", tree, kernel_release(tree))
    for unit in definition.enable:
        if not (tree / "usr/lib/systemd/system" / unit).exists():
            raise ImageError(f"'enable' names {unit}, which no package and no overlay brings")


def rauc_config(definition, tree, keyring):
    slots = "".join(
        f"""
[slot.rootfs.{number}]
device=/dev/wayside/root-{letter.lower()}
type=raw
bootname={letter}

[slot.boot.{number}]
device=/dev/wayside/boot-{letter.lower()}
type=raw
parent=rootfs.{number}
""" for number, letter in enumerate("AB"))
    system, handlers = loaders.of(definition).rauc(definition)
    (tree / "etc/rauc/system.conf").write_text(f"""[system]
compatible={definition.compatible}
{system}data-directory=/var/lib/rauc
bundle-formats=verity

[keyring]
path=/etc/rauc/keyring.pem
{slots}{handlers}""")
    install(keyring, tree / "etc/rauc/keyring.pem", 0o644)


def make(definition, pool, vendor_packages, binaries, keyring, version, tree):
    """Fills the empty folder `tree`; returns the packages in it."""
    packages = unpack(pool, set(definition.without_packages), tree)
    from image import vendor  # which uses run() of this file
    vendor.unpack(vendor_packages, tree, tree.parent)
    prune(definition, tree)
    add_project(definition, tree, binaries)
    set_up(definition, tree, version)
    loaders.of(definition).install(definition, tree)
    rauc_config(definition, tree, keyring)
    return packages + vendor_packages
