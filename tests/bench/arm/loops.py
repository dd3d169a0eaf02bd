# SPDX-License-Identifier: Apache-2.0
"""Estimates of the kernels' inner loops by llvm-mca; called by tools/bench-arm in the cross root.

In each kernel object the innermost loops are found as backward branches over straight code, the one with the most
products is taken, and llvm-mca says how many cycles an iteration takes where all data is in the first-level cache.
LLVM has no model of the Cortex-A76; Neoverse N1 is the same core for servers.
"""
import re
import subprocess
import sys

# Products per instruction on 128-bit vectors, by mnemonic.
PRODUCTS = {'sdot': 16, 'smmla': 32, 'smull': 8, 'smull2': 8, 'smlal': 8, 'smlal2': 8}
KERNELS = (('conv_neon_dot', 'gemm_tile', 'neoverse-n1'), ('depthwise_neon_dot', r'run_blocks.*WindowForm\)0, 1', 'neoverse-n1'),
           ('conv_neon', 'gemm_.*ByteDot', 'cortex-a57'), ('depthwise_neon', r'run_blocks.*WindowForm\)0, 1', 'cortex-a57'))


def functions(path):
    """Name and lines (address, mnemonic, operands) of each function in an object."""
    listing = subprocess.run(['aarch64-linux-gnu-objdump', '-d', '-C', '--no-show-raw-insn', path], check=True,
                             capture_output=True, text=True).stdout
    name, body = '', []
    for line in listing.splitlines():
        head = re.match(r'[0-9a-f]+ <(.*)>:$', line)
        code = re.match(r'\s*([0-9a-f]+):\t(\S+)\s*([^/]*)', line)
        if head:
            yield name, body
            name, body = head[1], []
        elif code:
            body.append((int(code[1], 16), code[2], code[3].strip()))
    yield name, body


def products(code):
    total = 0
    for _, mnemonic, operands in code:
        # Long products of 16-bit values make four.
        total += PRODUCTS.get(mnemonic, 0) // (2 if '.4s' in operands and mnemonic.startswith(('smull', 'smlal')) else 1)
    return total


def innermost_loops(body):
    """Code between a backward branch and its target with no other backward branch in it. Blocks that a forward branch
    skips count as run: here the clamps, which most layers do not need."""
    position = {address: i for i, (address, _, _) in enumerate(body)}
    last = -1
    for i, (address, mnemonic, operands) in enumerate(body):
        target = re.search(r'([0-9a-f]+) <', operands)
        if target is None or not (mnemonic == 'b' or mnemonic.startswith(('b.', 'cb', 'tb'))):
            continue
        first = position.get(int(target[1], 16), len(body))
        if first <= i:
            if first > last:
                yield body[first:i + 1]
            last = i


def estimate(loop, core):
    """Cycles per iteration."""
    text = '\n'.join(f'{mnemonic} {operands}' for _, mnemonic, operands in loop if '<' not in operands)
    result = subprocess.run(['llvm-mca', '-mtriple=aarch64', f'-mcpu={core}', '-mattr=+dotprod', '-iterations=100',
                             '-instruction-info=0', '-resource-pressure=0'], input=text, capture_output=True, text=True)
    cycles = re.search(r'Total Cycles:\s+(\d+)', result.stdout)
    return int(cycles[1]) / 100 if cycles else None


def main():
    folder = sys.argv[1]
    print('\nInner loops, estimated by llvm-mca (caches never miss)\n\n'
          '| kernel | core modelled | instructions | products | products per instruction | cycles | products per cycle |\n'
          '|---|---|---:|---:|---:|---:|---:|')
    for name, function, core in KERNELS:
        best = []
        for title, body in functions(f'{folder}/{name}.cpp.o'):
            if re.search(function, title):
                best = max([best, *innermost_loops(body)], key=products)
        cycles = estimate(best, core) if best else None
        if not cycles:
            print(f'| {name} | {core} | - | - | - | - | - |')
            continue
        count = products(best)
        print(f'| {name} | {core} | {len(best)} | {count} | {count / len(best):.1f} | {cycles:.1f} | {count / cycles:.1f} |')


if __name__ == '__main__':
    main()
