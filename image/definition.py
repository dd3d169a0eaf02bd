# SPDX-License-Identifier: Apache-2.0
"""A board's definition: image/boards/BOARD.yaml on top of common.yaml, checked key by key."""
from dataclasses import dataclass
from pathlib import Path

import yaml

FOLDER = Path(__file__).resolve().parent
LISTS = ("packages", "without_packages", "without_paths", "with_paths", "busybox", "enable", "mask", "initrd_modules",
         "initrd_programs", "without_modules")
BOARD_KEYS = {"board": str, "architecture": str, "preset": str, "kernel": str, "loader": dict, "console": list}
LOADER_KEYS = {"package", "target", "file"}
PARTITIONS = ("esp", "boot", "root", "config", "data")


class ImageError(Exception):
    """A mistake of the caller or a missing thing: one line that names it and the remedy."""


@dataclass
class Definition:
    board: str
    architecture: str
    preset: str
    kernel: str
    loader: dict
    console: list
    partitions: dict
    lists: dict

    def __getattr__(self, name):
        if name in LISTS:
            return self.lists[name]
        raise AttributeError(name)

    @property
    def fetched(self):
        """What is asked of Debian; dependencies come along."""
        return sorted({*self.packages, self.kernel, self.loader["package"]})

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


def load(board, folder=FOLDER / "boards"):
    path = folder / f"{board}.yaml"
    if board == "common" or not path.is_file():
        raise ImageError(f"no board '{board}'; there are: {', '.join(boards())}")
    lists = dict.fromkeys(LISTS, list)
    common, own = _read(folder / "common.yaml"), _read(path)
    _check(folder / "common.yaml", common, {**lists, "partitions": dict})
    _check(path, own, {**lists, **BOARD_KEYS, "partitions": dict})
    missing = [key for key in BOARD_KEYS if key not in own]
    if missing:
        raise ImageError(f"{path}: '{missing[0]}' is missing")
    if own["board"] != board:
        raise ImageError(f"{path}: 'board' must be the file's name, {board}")
    if set(own["loader"]) != LOADER_KEYS:
        raise ImageError(f"{path}: 'loader' needs exactly {', '.join(sorted(LOADER_KEYS))}")
    partitions = {**common.get("partitions", {}), **own.get("partitions", {})}
    if set(partitions) != set(PARTITIONS) or not all(isinstance(size, int) and 0 < size < 65536 for size in partitions.values()):
        raise ImageError(f"{path}: 'partitions' needs {', '.join(PARTITIONS)}, each in MiB below 65536")
    return Definition(**{key: own[key] for key in BOARD_KEYS}, partitions=partitions,
                      lists={key: common.get(key, []) + own.get(key, []) for key in LISTS})
