# SPDX-License-Identifier: Apache-2.0
"""Instructions per inference of our engine and of XNNPACK on emulated Arm cores; called by tools/bench-arm in the cross root.

One worker process per engine, network and core speaks the line protocol of worker.h under qemu-user. It makes one
inference, then two; count_instructions counts what ran between its answers, so that the difference is exactly one
inference: start, load and the protocol cancel out.
"""
import argparse
import json
import math
import os
import platform
import subprocess
import sys

CPUS = ('cortex-a76', 'cortex-a57')
# What the project aims at: instructions of ours against XNNPACK's, on each network.
BARS = {'cortex-a76': 0.9, 'cortex-a57': 1.0}
# Some warm-up: the first inference of an engine may still set something up.
QUESTIONS = 'run 0 1\nrun 0 1\nrun 0 2\nquit\n'


def networks(folder, wanted):
    """Names of the generated networks, the smallest first, with their products in millions."""
    found = []
    for name in os.listdir(folder):
        if not name.endswith('.flat'):
            continue
        with open(os.path.join(folder, name)) as text:
            macs = [int(line.split()[1]) for line in text if line.startswith('macs ')]
        found.append((macs[0] / 1e6 if macs else 0.0, name[:-len('.flat')]))
    return [(name, macs) for macs, name in sorted(found) if not wanted or any(part in name for part in wanted)]


def count(options, cpu, worker, model, profile):
    """Instructions of one inference and the profile's lines; None if the worker failed."""
    reading, writing = os.pipe()
    arguments = ['-L', os.environ['WAYSIDE_SYSROOT'], '-cpu', cpu, '-d', 'in_asm,exec,nochain,strace',
                 '-D', f'/dev/fd/{writing}']
    counter = subprocess.Popen([os.path.join(options.build, 'count_instructions'), str(profile)], stdin=reading,
                               stdout=subprocess.PIPE, text=True)
    os.close(reading)
    emulator = subprocess.Popen(['qemu-aarch64', *arguments, worker, model, '1'], stdin=subprocess.PIPE, text=True,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=(writing,))
    os.close(writing)
    _, said = emulator.communicate(QUESTIONS)
    lines = counter.communicate()[0].splitlines()
    marks = [i for i, line in enumerate(lines) if line.startswith('instructions ')]
    if emulator.returncode != 0 or counter.returncode != 0 or len(marks) < 4:
        last = said.strip().splitlines()[-1:] or ['no message']
        print(f'{os.path.basename(worker)} {os.path.basename(model)} {cpu}: failed: {last[0]}', file=sys.stderr)
        return None
    one, two = (int(lines[mark].split()[1]) for mark in marks[2:4])
    return two - one, lines[marks[2] + 1:marks[3]]


def measure(options, cpu, name, macs, row):
    """Adds the figures of one network on one core to `row` and prints its line of the table."""
    key = cpu.replace('-', '_')
    base = os.path.join(options.generated, name)
    ours = count(options, cpu, options.worker, base + '.tflite', options.profile)
    peer = None if options.only_ours else count(options, cpu, os.path.join(options.build, 'worker_xnnpack'),
                                                base + '.flat', 0)
    cells = [name, f'{macs:.1f}']
    if ours:
        row[f'ours_{key}_instructions'] = ours[0]
        cells += [f'{ours[0] / 1e6:.3f}', f'{ours[0] / (macs * 1e6):.3f}' if macs else '-']
    if peer:
        row[f'xnnpack_{key}_instructions'] = peer[0]
        cells.append(f'{peer[0] / 1e6:.3f}')
    if ours and peer:
        ratio = ours[0] / peer[0]
        row[f'ratio_{key}'] = round(ratio, 4)
        cells += [f'{ratio:.2f}', 'yes' if ratio <= BARS.get(cpu, 1.0) else '**no**']
    print('| ' + ' | '.join(cells) + ' |', flush=True)
    if ours:
        print('\n'.join(ours[1]), end='\n' if ours[1] else '', flush=True)


def main():
    parser = argparse.ArgumentParser()
    for option in ('--build', '--worker', '--generated', '--json'):
        parser.add_argument(option, required=True)
    parser.add_argument('--commit', default='')
    parser.add_argument('--models', default='')
    parser.add_argument('--cpus', default=','.join(CPUS))
    parser.add_argument('--profile', type=int, default=0)
    parser.add_argument('--only-ours', action='store_true')
    options = parser.parse_args()
    rows = {name: {'model': name, 'mmac': round(macs, 2)}
            for name, macs in networks(options.generated, [m for m in options.models.split(',') if m])}
    if not rows:
        sys.exit(f'bench arm: no network matches {options.models!r}')
    for cpu in options.cpus.split(','):
        print(f'\n{cpu}: instructions per inference, one thread (counts, not times)\n')
        print('| network | MMAC | ours, million | per product | XNNPACK, million | ours / XNNPACK | '
              f'<= {BARS.get(cpu, 1.0)} |\n|---|---:|---:|---:|---:|---:|---|')
        for name, row in rows.items():
            measure(options, cpu, name, row['mmac'], row)
        ratios = [row[key] for row in rows.values() if (key := f'ratio_{cpu.replace("-", "_")}') in row]
        if ratios:
            mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
            print(f'\n{cpu}: geometric mean {mean:.3f}, worst {max(ratios):.3f}', flush=True)
    with open(options.json, 'w') as out:
        # Nothing is drawn at random: the seed is there because every benchmark names one.
        json.dump({'commit': options.commit, 'machine': f'{platform.machine()} host, qemu-user', 'seed': 0, 'threads': 1,
                   'rows': list(rows.values())}, out, indent=1)


if __name__ == '__main__':
    main()
