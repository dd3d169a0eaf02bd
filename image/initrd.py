# SPDX-License-Identifier: Apache-2.0
"""The initrd: busybox, the programs and kernel modules that a definition names, and image/initrd/init."""
import lzma
import re
import shutil
from pathlib import Path

from image import loaders
from image.definition import FOLDER, ImageError
from image.tree import kernel_release, run


def module_order(tree, wanted):
    """Files of the modules and of all that they need, in loading order (modules.dep lists dependencies last-needed first).

    A name with a question mark is taken where the kernel has it: kernels differ in what they call a driver and what is built in."""
    base = tree / "usr/lib/modules" / kernel_release(tree)
    def plain(path):
        return Path(path).name.split(".ko")[0].replace("-", "_")
    needs = {}
    for line in (base / "modules.dep").read_text().splitlines():
        module, _, dependencies = line.partition(":")
        needs[plain(module)] = [module, *dependencies.split()]
    built_in = {plain(line) for line in (base / "modules.builtin").read_text().splitlines()}
    order = []
    for asked in wanted:
        name = asked.rstrip("?").replace("-", "_")
        if name in built_in or (name not in needs and asked.endswith("?")):
            continue
        if name not in needs:
            raise ImageError(f"'initrd_modules' names {name}, which kernel {base.name} does not have")
        order += [path for path in reversed(needs[name]) if path not in order]
    return [base / path for path in order]


def libraries(program, root):
    """The shared libraries of a program and theirs, as files of the image's own tree (it may be of another architecture)."""
    found, waiting = {}, [program]
    folders = [folder for pattern in ("usr/lib/*-linux-gnu", "usr/lib", "usr/lib64") for folder in sorted(root.glob(pattern))]
    while waiting:
        text = run("readelf", "--wide", "--dynamic", "--program-headers", waiting.pop())
        names = re.findall(r"\(NEEDED\).*\[(.+)\]", text)
        for name in [*names, *(Path(path).name for path in re.findall(r"program interpreter: (.+)\]", text))]:
            if name in found:
                continue
            path = next((folder / name for folder in folders if (folder / name).exists()), None)
            if path is None:
                raise ImageError(f"{program.name} needs {name}, which no package brings: add its package to the definition")
            found[name] = path
            waiting.append(path.resolve())
    return found


def make(definition, tree, folder, target):
    """Packs the initrd; `folder` is an empty one to work in."""
    for name in ("bin", "dev", "lib", "lib64", "modules", "proc", "run", "sys", "sysroot"):
        (folder / name).mkdir()
    for number, module in enumerate(module_order(tree, definition.initrd_modules)):
        content = module.read_bytes()
        if module.suffix == ".xz":
            content = lzma.decompress(content)
        (folder / "modules" / f"{number:03d}-{module.name.split('.ko')[0]}.ko").write_bytes(content)
    for name in definition.initrd_programs:
        program = tree / name.lstrip("/")
        shutil.copy(program, folder / "bin")
        for library, path in libraries(program, tree).items():
            place = "lib64" if library.startswith("ld-linux-x86-64") else "lib"
            shutil.copy(path.resolve(), folder / place / library)
    for name, path in loaders.of(definition).initrd_files(definition).items():
        shutil.copy(path, folder / name)
    shutil.copy(FOLDER / "initrd/init", folder / "init")
    (folder / "init").chmod(0o755)
    run("bash", "-ec", """cd "$1"; find . -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
      find . | LC_ALL=C sort | cpio --quiet --reproducible --create --format=newc --owner=0:0 | zstd -q -19 -T1 --check -o "$2" -f""",
        "initrd", folder, target)
