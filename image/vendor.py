# SPDX-License-Identifier: Apache-2.0
"""The maker's kernel, firmware and modules: .deb files that the user puts into a folder, checked against the board's definition.

`kernels.vendor` of a definition is a list of what is wanted, each
  kind     kernel | modules | firmware | library: said in messages
  package  pattern of the package's name (shell style)
  version  lowest version, or "LOWEST below HIGHEST", compared as Debian compares
  holds    pattern of a file that must be in it; {release} stands for the release of the kernel
  from     where a person finds it
  lock     optional: all with the same word must have the same version number x.y.z"""
import fnmatch
import re
import shutil

from image.definition import ImageError
from image.tree import run


def _fields(deb):
    try:
        text = run("dpkg-deb", "--show", "--showformat=${Package}\t${Version}\t${Architecture}", deb)
    except ImageError:
        raise ImageError(f"--vendor-debs: {deb.name} is not a Debian package: remove it, or copy it anew") from None
    name, version, architecture = text.split("\t")
    return {"name": name, "version": version, "architecture": architecture, "file": deb, "supplier": "vendor"}


def _described(wanted):
    return f"the {wanted['kind']} package {wanted['package']}, version {wanted['version']} (from: {wanted['from']})"


def _fits(version, wanted):
    lowest, _, highest = wanted.partition(" below ")
    def compared(relation, other):
        try:
            run("dpkg", "--compare-versions", version, relation, other)
        except ImageError:
            return False
        return True
    return compared("ge", lowest) and (not highest or compared("lt", highest))


def upstream(version):
    """x.y.z of a package's version, or '' where it has none."""
    found = re.match(r"(?:\d+:)?(\d+\.\d+\.\d+)", version)
    return found[1] if found else ""


def _contents(deb):
    return [line.split(maxsplit=5)[5].removeprefix("./").split(" -> ")[0] for line in run("dpkg-deb", "--contents", deb).splitlines()]


def _kernel_release(deb, names):
    releases = [name.removeprefix("boot/vmlinuz-") for name in names if re.fullmatch(r"boot/vmlinuz-\S+", name)]
    if len(releases) != 1:
        raise ImageError(f"--vendor-debs: {deb.name} holds {len(releases)} kernels (boot/vmlinuz-*), one is needed: take the package of the image itself")
    return releases[0]


def select(definition, folder):
    """The packages of `folder`, one for each wanted one and no other. Raises ImageError in one line."""
    wanted_list = definition.kernels.get("vendor", [])
    if not wanted_list:
        raise ImageError(f"--vendor-debs: board {definition.board} knows no vendor kernel; build it without")
    found = [_fields(deb) for deb in sorted(folder.glob("*.deb"))]
    chosen = []
    for wanted in wanted_list:
        named = [package for package in found if fnmatch.fnmatchcase(package["name"], wanted["package"])]
        if not named:
            raise ImageError(f"--vendor-debs: {folder} has not {_described(wanted)}")
        if len(named) > 1:
            raise ImageError(f"--vendor-debs: {', '.join(package['file'].name for package in named)} are all {wanted['package']}: leave one")
        package = named[0]
        if package["architecture"] not in (definition.architecture, "all"):
            raise ImageError(f"--vendor-debs: {package['file'].name} is for {package['architecture']}; wanted is {_described(wanted)}")
        if not _fits(package["version"], wanted["version"]):
            raise ImageError(f"--vendor-debs: {package['file'].name} has version {package['version']}; wanted is {_described(wanted)}")
        chosen.append({**package, "wanted": wanted})
    strangers = [package["file"].name for package in found if package["name"] not in {one["name"] for one in chosen}]
    if strangers:
        raise ImageError(f"--vendor-debs: {strangers[0]} is not known to board {definition.board}: remove it, or name it in kernels.vendor")
    _check_contents(chosen)
    _check_locks(chosen)
    return chosen


def _check_contents(chosen):
    contents = {package["name"]: _contents(package["file"]) for package in chosen}
    kernels = [package for package in chosen if package["wanted"]["kind"] == "kernel"]
    release = _kernel_release(kernels[0]["file"], contents[kernels[0]["name"]]) if kernels else ""
    for package in chosen:
        pattern = package["wanted"]["holds"].replace("{release}", release)
        if not any(fnmatch.fnmatchcase(name, pattern) for name in contents[package["name"]]):
            raise ImageError(f"--vendor-debs: {package['file'].name} has no {pattern}; wanted is {_described(package['wanted'])}")


def _check_locks(chosen):
    locks = {}
    for package in chosen:
        if "lock" in package["wanted"]:
            locks.setdefault(package["wanted"]["lock"], []).append(package)
    for name, packages in locks.items():
        if len({upstream(package["version"]) for package in packages}) > 1:
            told = ", ".join(f"{package['file'].name} {upstream(package['version']) or package['version']}" for package in packages)
            raise ImageError(f"--vendor-debs: {name} works only with one version x.y.z of all its packages, these differ: {told}")


def unpack(chosen, tree, work):
    """Unpacks them into the tree; what they have in /lib, /bin, /sbin goes to /usr, where Debian 13 has it."""
    for package in chosen:
        stage = work / "vendor"
        run("dpkg-deb", "--extract", package["file"], stage)
        for folder in ("lib", "bin", "sbin", "lib64"):
            if (stage / folder).is_dir() and not (stage / folder).is_symlink():
                shutil.copytree(stage / folder, stage / "usr" / folder, symlinks=True, dirs_exist_ok=True)
                shutil.rmtree(stage / folder)
        shutil.copytree(stage, tree, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(stage)
