# SPDX-License-Identifier: Apache-2.0
"""Tables and plot of what bench.py measured."""
import math

# The measured limit that a row's share refers to. avx2: the chain through saturating 16-bit sums, the fastest arithmetic on
# bytes that plain AVX2 has (the exact one is a fifth slower). native: the 512-bit dot product; AMX can exceed it.
PEAK_OF_MODE = {'native': 'avx512vnni_gmacs', 'avxvnni': 'avxvnni_gmacs', 'avx2': 'avx2_maddubs_gmacs',
                'avx256vnni': 'avx256vnni_gmacs'}
# tflite without XNNPACK is the reference of results, load time and memory, never a bar of speed.
RIVALS = ('xnnpack', 'onnxruntime', 'onednn')
# Below this correlation with TFLite's reference kernels a peer does not compute the model (saturated or clipped products).
FAITHFUL = 0.99
GROUPS = {
    'mobile and tiny': ('vww_96', 'person_detect', 'mobilenet_v1_0.25', 'mobilenet_v2_quantized', 'traffic_model'),
    'dense': ('pretrainedResnet_quant', 'yolov8n_320', 'resnet50'),
    'all': ('',),
}
NOTES = """\
Times are minima over all rounds, in microseconds; all engines ran the same network body, weights, scales and input,
interleaved. `xnnpack` is XNNPACK's subgraph API without TFLite's interpreter around it: Debian's TFLite is built without
the delegate; measured against a TFLite built with it the times were equal within 3 %, and faster on small networks with
AVX-512, so it is the stricter bar. `*`: the peer's output does not agree with TFLite's reference kernels (correlation below 0.99,
clipped asymmetric 8-bit weights), a bar of speed only. avxvnni and avx2 are made by hiding CPUID bits: the clock, the
caches and the memory stay those of this machine. Share of peak: of the measured limit of one instruction chain times the
threads. Output: against TFLite's reference kernels on the same input, in steps of the last bit; r is the correlation."""


def rivals(row, faithful_only=False):
    times = {name: row['peers_us'][name] for name in RIVALS if name in row['peers_us']}
    if faithful_only:
        times = {name: us for name, us in times.items() if faithful(row, name)}
    return times


def faithful(row, name):
    seen = row['agreement'].get(name)
    return seen is not None and seen['correlation'] >= FAITHFUL


def ratio(row, which):
    """Times faster than 'xnnpack', 'best' (of all rivals) or 'best faithful'; None where one of the two is missing."""
    times = rivals(row, which == 'best faithful')
    other = times.get('xnnpack') if which == 'xnnpack' else min(times.values(), default=None)
    return other / row['ours_us'] if other and row['ours_us'] else None


def progress(row):
    ours = f"{row['ours_us']:.1f} us" if row['ours_us'] else 'failed'
    return f"  {row['model']:40s} {row['mode']:8s} {row['threads']}T  ours {ours}, vs xnnpack {cell(ratio(row, 'xnnpack'))}, " \
           f"vs best {cell(ratio(row, 'best'))}, {output(row)}"


def cell(value, form='{:.2f}x'):
    return '-' if value is None else form.format(value)


def output(row):
    seen = row['agreement'].get('wayside')
    if seen is None:
        return 'no output'
    if seen['max_steps'] == 0:
        return 'equal'
    return f"{100 * seen['differing']:.2f} % differ, max {seen['max_steps']}, r {seen['correlation']:.5f}"


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def means(rows):
    """Per group, mode and threads: geometric means of the ratios."""
    result = []
    for mode, threads in dict.fromkeys((row['mode'], row['threads']) for row in rows):
        for group, prefixes in GROUPS.items():
            members = [r for r in rows if (r['mode'], r['threads']) == (mode, threads) and r['model'].startswith(prefixes)]
            entry = {'group': group, 'mode': mode, 'threads': threads, 'models': len(members)}
            for which in ('xnnpack', 'best', 'best faithful'):
                values = [v for v in (ratio(row, which) for row in members) if v]
                entry['vs_' + which.replace(' ', '_')] = geometric_mean(values)
            entry['lowest_vs_best'] = min((v for v in (ratio(row, 'best') for row in members) if v), default=None)
            if members:
                result.append(entry)
    return result


def table(rows):
    others = [name for name in dict.fromkeys(n for row in rows for n in row['peers']) if name != 'tflite']
    lines = ['| model | MMAC | ours | ' + ''.join(name + ' | ' for name in others) + 'vs xnnpack | vs best | GMAC/s | of peak | load ms, ours / '
             'tflite / xnnpack | peak RSS MiB, ours / tflite / xnnpack | output |', '|---|' + '---:|' * (len(others) + 7) + '---|']
    for row in rows:
        cells = [row['model'], f"{row['mmac']:.1f}", cell(row['ours_us'], '{:.0f}')]
        for name in others:
            wrong = name in RIVALS and name in row['peers_us'] and not faithful(row, name)
            cells.append(cell(row['peers_us'].get(name), '{:.0f}') + ('*' if wrong else ''))
        gmacs = 1e3 * row['mmac'] / row['ours_us'] if row['ours_us'] else None
        cells += [cell(ratio(row, 'xnnpack')), cell(ratio(row, 'best')), cell(gmacs, '{:.1f}'),
                  cell(gmacs and 100 * gmacs / row['peak_gmacs'], '{:.0f} %')]
        for key, scale, form in (('load_ms', 1, '{:.1f}'), ('peak_rss_kib', 1024, '{:.1f}')):
            three = [row['ours'], row['peers'].get('tflite'), row['peers'].get('xnnpack')]
            cells.append(' / '.join(cell(one and one[key] / scale, form) for one in three))
        lines.append('| ' + ' | '.join(cells + [output(row)]) + ' |')
    return lines


def scaling(rows):
    """Times faster with more threads than with one, where both were measured."""
    one = {(row['mode'], row['model']): row for row in rows if row['threads'] == 1 and row['ours_us']}
    lines = []
    for row in rows:
        single = one.get((row['mode'], row['model']))
        if row['threads'] == 1 or single is None or not row['ours_us']:
            continue
        peers = [cell(single['peers_us'][n] / row['peers_us'][n]) if n in single['peers_us'] and n in row['peers_us'] else '-'
                 for n in RIVALS]
        lines.append(f"| {row['model']} | {row['mode']} | {row['threads']} | {cell(single['ours_us'] / row['ours_us'])} | "
                     + ' | '.join(peers) + ' |')
    if not lines:
        return []
    return ['', '| threads against one | mode | threads | ours | ' + ' | '.join(RIVALS) + ' |',
            '|---|---|---:|' + '---:|' * (len(RIVALS) + 1)] + lines


def markdown(result):
    machine, peak = result['machine'], result['peak']
    lines = [f"Commit {result['commit'] or '?'}, seed {result['seed']}, {machine['cpu']}, {machine['cores']} cores, "
             f"load average {machine['load_average']:.1f}.",
             'Peers: ' + ', '.join(f'{name} {version}' for name, version in result['versions'].items()) + '.',
             'Measured limits of one core: ' + ', '.join(f"{name.replace('_gmacs', '')} {value:.0f} GMAC/s"
                                                         for name, value in peak.items() if name.endswith('_gmacs'))
             + f" at {peak['clock_ghz']:.2f} GHz.", '', NOTES]
    for mode, threads in dict.fromkeys((row['mode'], row['threads']) for row in result['rows']):
        rows = [row for row in result['rows'] if (row['mode'], row['threads']) == (mode, threads)]
        lines += ['', f'**{mode}, {threads} thread{"s" if threads > 1 else ""}**', ''] + table(rows)
    lines += ['', '| geometric mean | mode | threads | models | vs xnnpack | vs best | vs best faithful | lowest vs best |',
              '|---|---|---:|---:|---:|---:|---:|---:|']
    for mean in result['geometric_means']:
        lines.append(f"| {mean['group']} | {mean['mode']} | {mean['threads']} | {mean['models']} | " + ' | '.join(
            cell(mean[key]) for key in ('vs_xnnpack', 'vs_best', 'vs_best_faithful', 'lowest_vs_best')) + ' |')
    lines += scaling(result['rows'])
    if result['notes']:
        lines += ['', 'Notes of this run:'] + ['- ' + note for note in result['notes']]
    return '\n'.join(lines)


def plot(result, path):
    """Roofline on the left, speed over XNNPACK on the right; the first mode with one thread."""
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    matplotlib.rcParams['svg.hashsalt'] = 'wayside'
    mode = result['rows'][0]['mode']
    rows = [r for r in result['rows'] if (r['mode'], r['threads']) == (mode, 1) and r['ours_us']]
    peak = result['peak']
    figure, (roof, bars) = plt.subplots(1, 2, figsize=(14, 5.5))
    limit = peak[PEAK_OF_MODE[mode]]
    intensities = [2 ** (k / 4) for k in range(0, 33)]
    for key, label in (('read_1024kib_gbs', 'second-level cache'), ('read_65536kib_gbs', 'memory')):
        roof.plot(intensities, [min(limit, x * peak[key]) for x in intensities], label=f'limit, operands from {label}')
    for name, marker in (('wayside', 'o'), ('xnnpack', 'x'), ('onnxruntime', '+'), ('onednn', '1')):
        points = [(1e6 * r['mmac'] / r['traffic_bytes'], 1e3 * r['mmac'] / us) for r in rows
                  if (us := r['ours_us'] if name == 'wayside' else r['peers_us'].get(name))]
        if points:
            roof.plot(*zip(*points), marker, label=name)
    roof.set(xscale='log', yscale='log', xlabel='multiply-adds per byte of tensors touched', ylabel='GMAC/s',
             title=f'{mode}, 1 thread')
    roof.legend(fontsize=8)
    roof.grid(True, which='both', alpha=0.2)
    names = ['wayside'] + [n for n in RIVALS if n != 'xnnpack']
    for k, name in enumerate(names):
        heights = [r['peers_us'].get('xnnpack', 0) / (r['ours_us'] if name == 'wayside' else r['peers_us'].get(name, math.inf))
                   for r in rows]
        bars.bar([i + 0.27 * (k - 1) for i in range(len(rows))], heights, 0.25, label=name)
    bars.axhline(1, color='grey', linewidth=1)
    bars.set(ylabel='times faster than XNNPACK', title=f'{mode}, 1 thread')
    bars.set_xticks(range(len(rows)), [r['model'][:22] for r in rows], rotation=35, ha='right', fontsize=8)
    bars.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={'Date': None})
