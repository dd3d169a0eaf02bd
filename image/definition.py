# SPDX-License-Identifier: Apache-2.0
"""A board's definition: image/boards/BOARD.yaml on top of common.yaml, checked key by key."""
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from image import loaders

FOLDER = Path(__file__).resolve().parent
LISTS = ("packages", "without_packages", "without_paths", "with_paths", "busybox", "enable", "mask", "initrd_modules",
         "initrd_programs", "without_modules")
BOARD_KEYS = {"board": str, "architecture": str, "preset": str, "kernels": dict, "loader": dict, "console": list}
# Besides Debian 13's "main": further components, and whether packages may be named NAME/trixie-backports.
# device_trees: {name on the boot partition: path below the kernel's folder of device trees}.
# blob: the first loader, which only the user may have; first_mib: where the first partition begins.
OPTIONAL_KEYS = {"components": list, "backports": bool, "device_trees": dict, "blob": dict, "first_mib": int}
BLOB_KEYS = {"file", "sector", "magic"}
VENDOR_KINDS = ("kernel", "modules", "firmware", "library")
VENDOR_KEYS = {"kind", "package", "version", "holds", "from"}
PARTITIONS = ("esp", "boot", "root", "config", "data")


class ImageError(Exception):
    """A mistake of the caller or a missing thing: one line that names it and the remedy."""


def need(condition, text):
    if not condition:
        raise ImageError(f"the finished image is wrong: {text}")


@dataclass
class Definition:
    board: str
    architecture: str
    preset: str
    kernels: dict
    loader: dict
    console: list
    partitions: dict
    lists: dict
    components: list = field(default_factory=list)
    backports: bool = False
    device_trees: dict = field(default_factory=dict)
    blob: dict | None = None
    first_mib: int = 1
    with_vendor: bool = False

    def __getattr__(self, name):
        if name in LISTS:
            return self.lists[name]
        raise AttributeError(name)

    @property
    def fetched(self):
        """What is asked of Debian; dependencies come along. Vendor packages bring the kernel themselves."""
        kernel = [] if self.with_vendor else [self.kernels["debian"]]
        return sorted({*self.packages, *kernel, *loaders.of(self).packages(self)})

    @property
    def sources(self):
        """Where Debian's packages come from: components, and suites besides trixie."""
        return ",".join(["main", *self.components]), "trixie-backports" if self.backports else "-"

    @property
    def wifi(self):
        """Boards that name iwd have Wi-Fi."""
        return "iwd" in self.packages

    @property
    def compatible(self):
        """RAUC's name of the board: a bundle for another one is refused."""
        return f"wayside-{self.board}"


def boards():
    return sorted(path.stem for path in (FOLDER / "boards").glob("*.yaml") if path.stem != "common")


def _read(path):
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ImageError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ImageError(f"{path}: must be a list of keys, see common.yaml")
    return content


def _check(path, content, allowed):
    for key, value in content.items():
        if key not in allowed:
            raise ImageError(f"{path}: unknown key '{key}'; there are: {', '.join(sorted(allowed))}")
        if not isinstance(value, allowed[key]):
            raise ImageError(f"{path}: '{key}' must be a {allowed[key].__name__}")
        if key in LISTS and not all(isinstance(entry, str) for entry in value):
            raise ImageError(f"{path}: '{key}' must be a list of texts; write words like true in quotes")


def _check_kernels(path, kernels):
    if set(kernels) - {"debian", "vendor"} or not isinstance(kernels.get("debian"), str):
        raise ImageError(f"{path}: 'kernels' needs debian (a package) and may have vendor (a list, see image/vendor.py)")
    for entry in kernels.get("vendor", []):
        if not isinstance(entry, dict) or set(entry) - {"lock"} != VENDOR_KEYS or entry["kind"] not in VENDOR_KINDS or not all(isinstance(value, str) for value in entry.values()):
            raise ImageError(f"{path}: each of 'kernels.vendor' needs {', '.join(sorted(VENDOR_KEYS))} as texts; kind is one of {', '.join(VENDOR_KINDS)}")


def _check_loader(path, loader):
    kind = loader.get("kind")
    if kind not in loaders.KINDS:
        raise ImageError(f"{path}: 'loader.kind' must be one of {', '.join(loaders.KINDS)}")


def load(board, folder=FOLDER / "boards", with_vendor=False):
    path = folder / f"{board}.yaml"
    if board == "common" or not path.is_file():
        raise ImageError(f"no board '{board}'; there are: {', '.join(boards())}")
    lists = dict.fromkeys(LISTS, list)
    common, own = _read(folder / "common.yaml"), _read(path)
    if own.get("kind") == "portable":
        from image import portable  # which uses this file
        return portable.load(path, own)
    _check(folder / "common.yaml", common, {**lists, "partitions": dict})
    _check(path, own, {**lists, **BOARD_KEYS, **OPTIONAL_KEYS, "partitions": dict})
    missing = [key for key in BOARD_KEYS if key not in own]
    if missing:
        raise ImageError(f"{path}: '{missing[0]}' is missing")
    if own["board"] != board:
        raise ImageError(f"{path}: 'board' must be the file's name, {board}")
    _check_kernels(path, own["kernels"])
    _check_loader(path, own["loader"])
    if "blob" in own and set(own["blob"]) != BLOB_KEYS:
        raise ImageError(f"{path}: 'blob' needs exactly {', '.join(sorted(BLOB_KEYS))}")
    partitions = {**common.get("partitions", {}), **own.get("partitions", {})}
    if set(partitions) != set(PARTITIONS) or not all(isinstance(size, int) and 0 < size < 65536 for size in partitions.values()):
        raise ImageError(f"{path}: 'partitions' needs {', '.join(PARTITIONS)}, each in MiB below 65536")
    definition = Definition(**{key: own[key] for key in (*BOARD_KEYS, *OPTIONAL_KEYS) if key in own}, partitions=partitions,
                            lists={key: common.get(key, []) + own.get(key, []) for key in LISTS}, with_vendor=with_vendor)
    wanted = loaders.of(definition).KEYS
    if set(own["loader"]) - {"kind"} != wanted:
        raise ImageError(f"{path}: 'loader' of kind {own['loader']['kind']} needs exactly {', '.join(sorted({'kind', *wanted}))}")
    return definition
