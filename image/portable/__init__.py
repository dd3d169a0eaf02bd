# SPDX-License-Identifier: Apache-2.0
"""The agent with a user space of its own, for a board whose system is the maker's: a tar file with a root for one service, the
unit that binds the system's files into it, and a script that installs both and takes them away again."""
import json
import re
from dataclasses import dataclass

from image import initrd, sbom, tree
from image.definition import FOLDER, ImageError
from image.tree import run, sha256_of

FILES = FOLDER / "portable/files"
KEYS = {"kind": str, "board": str, "architecture": str, "preset": str, "kernel_least": str, "packages": list, "without_packages": list,
        "without_paths": list}
# Where the unit mounts what belongs to the system: folders, and files that are there empty.
MOUNT_FOLDERS = ("dev", "etc/wayside", "proc", "run/systemd", "sys", "tmp", "usr/lib/aarch64-linux-gnu/tegra", "usr/local/cuda-10.2",
                 "var/lib/wayside", "var/tmp")
MOUNT_FILES = ("etc/hosts", "etc/resolv.conf", "run/systemd/notify")
ETC = {"passwd": "root:x:0:0::/:/usr/sbin/nologin\n", "group": "root:x:0:\n", "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n"}


@dataclass
class Portable:
    board: str
    architecture: str
    preset: str
    kernel_least: str
    packages: list
    without_packages: list
    without_paths: list
    sources = ("main", "-")

    @property
    def fetched(self):
        return sorted(self.packages)


def load(path, content):
    """The definition in `content`, read from `path`; every key is needed."""
    for key, kind in KEYS.items():
        if not isinstance(content.get(key), kind):
            raise ImageError(f"{path}: '{key}' must be there as a {kind.__name__}")
    strangers = sorted(set(content) - set(KEYS))
    if strangers:
        raise ImageError(f"{path}: unknown key '{strangers[0]}'; a portable root has {', '.join(sorted(KEYS))}")
    return Portable(**{key: value for key, value in content.items() if key != "kind"})


def make_root(board, pool, binaries, root):
    packages = tree.unpack(pool, set(board.without_packages), root)
    for pattern in board.without_paths:
        for path in sorted(root.glob(pattern)):
            tree.remove(path)
    for folder in MOUNT_FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder).chmod(0o755)
    for name, text in {**{f"etc/{name}": text for name, text in ETC.items()}, **dict.fromkeys(MOUNT_FILES, "")}.items():
        (root / name).write_text(text)
        (root / name).chmod(0o644)
    tree.add_programs(root, binaries, board.architecture)
    return packages


def check_root(board, root):
    """Nothing that the programs need is missing, nothing needs a newer kernel, nothing is open to others."""
    for program in sorted((root / "usr/bin").iterdir()):
        initrd.libraries(program, root)
    library = next(root.glob("usr/lib/*-linux-gnu/libc.so.6"))
    found = re.search(r"OS: Linux, ABI: (\d+)\.(\d+)", run("readelf", "--notes", library))
    least = tuple(int(part) for part in board.kernel_least.split("."))
    if not found or (int(found[1]), int(found[2])) > least:
        raise ImageError(f"the C library wants Linux {found and '.'.join(found.groups())}, the board has {board.kernel_least}: build with an older release")
    for path in root.rglob("*"):
        if not path.is_symlink() and path.stat().st_mode & 0o6022:
            raise ImageError(f"{path.relative_to(root)} is set-uid or may be changed by others")


def sums(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    (folder / "SHA256SUMS").write_text("".join(f"{sha256_of(path)}  {path.relative_to(folder)}\n" for path in files))


def build(board, arguments):
    """Makes NAME.tar.xz, NAME.spdx.json and NAME.manifest.json; returns the facts for ./dev image --json."""
    name = f"wayside-{board.board}-{arguments.version}"
    folder = arguments.work / name
    root = folder / "root"
    root.mkdir(parents=True)
    packages = make_root(board, arguments.pool, arguments.binaries, root)
    check_root(board, root)
    for source in sorted(FILES.iterdir()):
        tree.install(source, folder / source.name, 0o755 if source.read_bytes()[:2] == b"#!" else 0o644)
    (folder / "VERSION").write_text(f"{arguments.version}\n")
    sums(folder)
    archive = arguments.out / f"{name}.tar.xz"
    # xz: the one that every system of that time has.
    run("bash", "-ec", 'tar -C "$1" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=gnu -cf - "$2" | xz -T1 -6 >"$3"',
        "tar", arguments.work, name, archive)
    (arguments.out / f"{name}.spdx.json").write_text(json.dumps(sbom.spdx(board, arguments.version, arguments.epoch, packages), indent=1) + "\n")
    left = sbom.sizes(root, packages)
    unpacked = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    manifest = {
        "board": board.board, "version": arguments.version, "architecture": board.architecture, "source_date_epoch": int(arguments.epoch),
        "files": {archive.name: {"bytes": archive.stat().st_size, "sha256": sha256_of(archive)}}, "bytes_unpacked": unpacked,
        "packages": [{"name": p["name"], "version": p["version"], "bytes_in_image": left.get(p["name"], 0)} for p in packages],
    }
    (arguments.out / f"{name}.manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return {"board": board.board, "version": arguments.version, "image": archive.name, "image_bytes": archive.stat().st_size,
            "image_sha256": sha256_of(archive), "unpacked_bytes": unpacked, "packages": len(packages)}
