# SPDX-License-Identifier: Apache-2.0
"""Copies of programs and their libraries in which CPUID traps, for processors that cannot make it fault by themselves.

    patch_cpuid.py TO PROGRAM... [-- LIBRARY...]

Every CPUID instruction that objdump finds is replaced by the invalid instruction that cpumask.c answers. The C library and
the loader stay as they are (GLIBC_TUNABLES speaks to them). TO/path_to_name are the programs, TO/lib/ what they and the named
libraries (opened at run time) need. Copies that are newer than their originals are kept.
"""
import os
import re
import shutil
import struct
import subprocess
import sys

TRAP = b'\x06\x06'  # kTrap of cpumask.c
CPUID = b'\x0f\xa2'
UNTOUCHED = re.compile(r'^(ld-linux.*|libc|libpthread|libdl|librt|libm)\.so')


def file_offset(image, address):
    """Where the loaded address lies in an ELF64 file (System V ABI, program headers of type PT_LOAD)."""
    at, size, count = struct.unpack_from('<Q', image, 32)[0], *struct.unpack_from('<HH', image, 54)
    for i in range(count):
        kind, _, offset, start, _, length = struct.unpack_from('<IIQQQQ', image, at + i * size)
        if kind == 1 and start <= address < start + length:
            return address - start + offset
    raise ValueError(f'address {address:#x} is in no segment')


def patched(path):
    with open(path, 'rb') as file:
        image = bytearray(file.read())
    listing = subprocess.Popen(['objdump', '-d', '--no-show-raw-insn', path], stdout=subprocess.PIPE, text=True)
    count = 0
    for line in listing.stdout:
        if not line.rstrip().endswith('cpuid'):
            continue
        at = file_offset(image, int(line.split(':')[0], 16))
        if image[at:at + 2] != CPUID:
            raise ValueError(f'{path}: no CPUID at {at:#x}')
        image[at:at + 2] = TRAP
        count += 1
    if listing.wait():
        sys.exit(f'patch_cpuid: objdump {path} failed')
    return image, count


def copy_patched(path, to):
    if os.path.exists(to) and os.path.getmtime(to) >= os.path.getmtime(path):
        return
    image, count = patched(path)
    with open(to + '.part', 'wb') as file:
        file.write(image)
    shutil.copymode(path, to + '.part')
    os.replace(to + '.part', to)
    if count:
        print(f'patch_cpuid: {os.path.basename(path)}: {count} instructions', file=sys.stderr)


def needed(path):
    listing = subprocess.run(['ldd', path], capture_output=True, text=True, check=True).stdout
    return {match[1] for match in re.finditer(r'=> (/\S+)', listing)}


def main():
    to, words = sys.argv[1], sys.argv[2:]
    split = words.index('--') if '--' in words else len(words)
    programs, libraries = words[:split], words[split + 1:]
    os.makedirs(os.path.join(to, 'lib'), exist_ok=True)
    for path in programs:
        copy_patched(path, os.path.join(to, path.strip('/').replace('/', '_')))
    found = set(libraries).union(*map(needed, programs + libraries))
    for path in sorted(found):
        name = os.path.basename(path)
        if not UNTOUCHED.match(name):
            copy_patched(path, os.path.join(to, 'lib', name))


main()
