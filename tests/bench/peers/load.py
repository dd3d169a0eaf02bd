# SPDX-License-Identifier: Apache-2.0
"""Load times and memory of ours (weights packed, weights kept in a cache), TFLite and XNNPACK: starts in random turns.

Called by bench.py --load. One start is at the mercy of the neighbours: the least of `options.load` starts of each is compared.
"""
import os
import random
import shutil
import statistics

ROWS = ('packed', 'kept', 'tflite', 'xnnpack')
FIGURES = ('load_ms', 'start_ms', 'peak_mib')


class Start:
    """How one engine is started, and what its starts took."""

    def __init__(self, name, command, packed_dir=''):
        self.name, self.command, self.packed_dir = name, command, packed_dir
        self.failure, self.figures = '', {figure: [] for figure in FIGURES}

    def once(self, make_worker, counts=True):
        os.environ.pop('WORKER_PACKED_DIR', None)
        if self.packed_dir:
            os.environ['WORKER_PACKED_DIR'] = self.packed_dir
        worker = make_worker('load_' + self.name, self.command)
        answer = worker.ask('quit')
        if worker.failure or not answer:
            self.failure = worker.failure
        elif counts:
            worker.process.wait(10)
            self.figures['load_ms'].append(worker.info['load_ms'])
            self.figures['start_ms'].append(worker.info['load_ms'] + worker.info['first_ms'])
            self.figures['peak_mib'].append(int(answer[1]) / 1024)

    def result(self):
        if self.failure:
            return {'failure': self.failure}
        least = {figure: min(values) for figure, values in self.figures.items()}
        return {**least, 'load_median_ms': statistics.median(self.figures['load_ms'])}


def measure(model, engines, make_worker, options):
    """One row: all ways to load one model, as many starts of each as options.load says."""
    folder = os.path.join(options.peers, 'packed')
    shutil.rmtree(folder, ignore_errors=True)
    filled = {name: [word.replace('{model}', model.path).replace('{threads}', '1') for word in command]
              for name, command in engines.items()}
    starts = [Start('packed', filled['wayside']), Start('kept', filled['wayside'], folder),
              Start('tflite', filled['tflite']), Start('xnnpack', filled['xnnpack'])]
    for start in starts:
        start.once(make_worker, counts=False)  # the file cache is warm, and the weights are kept
    for _ in range(options.load):
        for start in random.sample(starts, len(starts)):
            start.once(make_worker)
    os.environ.pop('WORKER_PACKED_DIR', None)
    return {'model': model.name, **{start.name: start.result() for start in starts}}


def ratio(row, figure):
    kept, tflite = row['kept'].get(figure), row['tflite'].get(figure)
    return kept / tflite if kept and tflite else None


def markdown(rows, starts):
    """The table; misses in bold. Load: until the first inference can start; start: with the first inference."""
    def cells(row, figure, digits):
        return ' / '.join('-' if figure not in row[name] else f'{row[name][figure]:.{digits}f}' for name in ROWS)

    def against(row, figure):
        value = ratio(row, figure)
        return '-' if value is None else f'{value:.2f}' if value <= 1 else f'**{value:.2f}**'

    lines = [f'Least of {starts} starts; ours packed / ours kept / TFLite / XNNPACK, and ours kept by TFLite.', '',
             '| model | load ms | kept / TFLite | load and first inference ms | kept / TFLite | peak RSS MiB | kept / TFLite |',
             '|---|---:|---:|---:|---:|---:|---:|']
    for row in rows:
        lines.append(f"| {row['model']} | {cells(row, 'load_ms', 2)} | {against(row, 'load_ms')} | {cells(row, 'start_ms', 1)} | "
                     f"{against(row, 'start_ms')} | {cells(row, 'peak_mib', 1)} | {against(row, 'peak_mib')} |")
    return '\n'.join(lines)
