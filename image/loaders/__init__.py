# SPDX-License-Identifier: Apache-2.0
"""The boot loaders: one module each, chosen by `loader.kind` of a board's definition.

Each module has
  KEYS                                     what `loader` of a definition must have besides `kind`
  TYPES {kind: GUID}                       GPT types of the partitions esp and boot, where the loader wants others than disk.TYPES
  packages(definition)                     Debian packages that are needed for building; they are not in the image
  install(definition, tree)                /usr/lib/wayside/slots and what else the running system needs
  initrd_files(definition)                 {name in the initrd: file} that it needs besides what every initrd has
  rauc(definition)                         the lines of RAUC's [system] section that name the boot loader, and a [handlers] section
  slot_files(definition, tree, stage, verity, version)
                                           {name on the boot partition: file}; stage has initrd and vmlinuz
  first_partition(definition, unpacked, work, seed)
                                           writes work/esp.img: the loader itself, or what it reads first
  check(definition, listing, read, fetch)  looks at a finished image: listing(partition) gives names, read(partition, name) a text,
                                           fetch(partition, name) bytes; raises ImageError, returns the verity text of slot A
`slots` has the commands of RAUC's custom boot-loader handler: get-primary, set-primary X, get-state X, set-state X good|bad,
get-current. It is used by wayside-confirm on every board and by RAUC where that has no back end of its own."""
from importlib import import_module
from pathlib import Path

KINDS = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__")


def of(definition):
    return import_module(f"image.loaders.{definition.loader['kind']}")
