# SPDX-License-Identifier: Apache-2.0
"""Measures our engine against its peers, interleaved in one run; called by tools/bench-engine inside the bench root.

One worker process per engine speaks the line protocol of worker.h. In every round each engine, in random order, makes
some untimed and some timed inferences while the others are idle, so that slow phases of a shared machine hit all alike;
the minima over all rounds are compared (medians of a shared machine say more about the neighbours).
"""
import argparse
import glob
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import threading
import time

import load
import report

HERE = os.path.dirname(os.path.abspath(__file__))
# Hidden from a worker's CPUID by cpumask.c, and from glibc's own dispatch, which runs before it, by this.
TUNABLES = 'glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-AVX512CD'
MODES = ('avxvnni', 'avx2', 'native')
# Our worker alone, at a level forced by WAYSIDE_CPU_LEVEL: a stand-in for avxvnni on processors that have its instructions
# in the encoding of AVX512VL only. No peer has such kernels.
OURS_ALONE = {'avx256vnni': 'avx256_vnni'}
STAND_IN = {'avxvnni': 'avx256vnni'}
# No inference of the measured models takes longer than a second on one core, not even ten times slowed by neighbours.
ANSWER_LIMIT_S = 120
# Spinning threads of the engine measured before must have gone to sleep.
SETTLE_S = 0.012
WARM_RUNS = 2
LOADS = 4


class Worker:
    """One engine with one model loaded. `failure` says in one line why it cannot be used (any more)."""

    def __init__(self, name, command, threads, mode, options):
        self.name, self.failure, self.times_us, self.info = name, '', [], {}
        self.log_path = os.path.join(options.peers, 'logs', name + '.log')
        os.makedirs(os.path.dirname(self.log_path), exist_ok=True)
        env = dict(os.environ, OMP_NUM_THREADS=str(threads))
        if command[0] in options.ours.values():
            env['LD_LIBRARY_PATH'] = options.libraries
        if mode in OURS_ALONE:
            env['WAYSIDE_CPU_LEVEL'] = OURS_ALONE[mode]
        elif mode != 'native':
            env.update(CPUMASK=mode, LD_PRELOAD=os.path.join(options.peers, 'libcpumask.so'), GLIBC_TUNABLES=TUNABLES)
            if options.patched:
                env.update(CPUMASK_PATCHED='1', LD_LIBRARY_PATH=os.path.join(options.patched, 'lib'))
                command = [masked(word, options) for word in command]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True,
                                        stderr=open(self.log_path, 'w'), start_new_session=True, preexec_fn=prefer)
        self.info = {}
        answer = self._answer()
        if answer[:1] == ['ready']:
            self.info = dict(zip(answer[1::2], map(float, answer[2::2])))
        else:
            self._fail('does not load the model')

    def _fail(self, what):
        self.process.kill()
        self.process.wait()
        code = self.process.returncode
        with open(self.log_path, errors='replace') as log:
            last = (log.read().strip().splitlines() or [''])[-1]
        self.failure = what + ('' if code in (-9, 1) else f', exit status {code}') + (f': {last}' if last else '')

    def _answer(self):
        """Words of the next line; none if the worker died or was too slow, which ends it."""
        timer = threading.Timer(ANSWER_LIMIT_S, self.process.kill)
        timer.start()
        line = self.process.stdout.readline().split()
        timer.cancel()
        return line

    def belief(self):
        """What the engine found out about the processor, where it says so."""
        with open(self.log_path, errors='replace') as log:
            return next((line.strip() for line in log if line.startswith('believes: ')), '')

    def ask(self, question):
        if self.failure:
            return []
        try:
            self.process.stdin.write(question + '\n')
            self.process.stdin.flush()
            answer = self._answer()
        except BrokenPipeError:
            answer = []
        if not answer:
            self._fail(f'died at "{question}"')
        return answer

    def run(self, count):
        self.times_us += [int(ns) / 1e3 for ns in self.ask(f'run {WARM_RUNS} {count}')[1:]]

    def output(self):
        return [float(value) for value in self.ask('out')[1:]]

    def finish(self):
        """Ends the process and returns its figures, None if it could not be measured."""
        answer = self.ask('quit')
        if self.failure or not self.times_us:
            return None
        self.process.wait(10)
        ordered = sorted(self.times_us)
        return {'min_us': ordered[0], 'median_us': statistics.median(ordered),
                'p95_us': ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))], 'runs': len(ordered),
                'load_ms': self.info['load_ms'], 'peak_rss_kib': int(answer[1])}


def masked(word, options):
    """The copy of a program or library in which CPUID traps, where there is one."""
    if os.path.isabs(word):
        for copy in (word.strip('/').replace('/', '_'), os.path.join('lib', os.path.basename(word))):
            if os.path.isfile(os.path.join(options.patched, copy)):
                return os.path.join(options.patched, copy)
    return word


def make_patched(options):
    """Copies of all workers and their libraries in which CPUID traps."""
    folder = os.path.join(options.peers, 'patched')
    library = (sorted(glob.glob('/usr/lib/*/libonnxruntime.so.1*')) or [''])[-1]
    programs = list(options.ours.values()) + sorted(glob.glob(os.path.join(options.peers, 'worker_*')))
    env = dict(os.environ, LD_LIBRARY_PATH=options.libraries)
    done = subprocess.run([sys.executable, os.path.join(HERE, 'patch_cpuid.py'), folder, *programs, '--', library], env=env)
    return folder if done.returncode == 0 else ''


def prefer():
    """Short bursts on a shared machine: ask for the processor where we may; the ratios do not depend on it."""
    try:
        os.nice(-20)
        with open('/proc/self/autogroup', 'w') as group:
            group.write('-20')
    except OSError:
        pass


class Model:
    """What bench.py must know of one model, read from its .flat file."""

    def __init__(self, folder, name):
        self.name, self.path = name, os.path.join(folder, name)
        tensors, self.macs, self.traffic_bytes, self.outputs, operations = [], 0, 0, [], []
        with open(self.path + '.flat') as text:
            for line in text:
                word = line.split()
                if word[0] == 'tensor':
                    shape = [int(side) for side in word[11:]]
                    size = 1
                    for side in shape:
                        size *= side
                    tensors.append({'type': word[2], 'scale': float(word[3]), 'zero': int(word[4]), 'size': size})
                elif word[0] == 'op':
                    count = int(word[14])
                    operations.append([int(i) for i in word[15:15 + count] + word[16 + count:]])
                elif word[0] == 'outputs':
                    self.outputs = [tensors[int(i)] for i in word[2:]]
                elif word[0] == 'macs':
                    self.macs = int(word[1])
        # Every tensor that an operation touches, once: the least that a layer-by-layer engine must move.
        self.traffic_bytes = sum(tensors[i]['size'] for op in operations for i in op)

    def codes(self, values, raw):
        """Output values as the numbers that the engine stored, so that differences are in steps of the last bit."""
        if len(values) != sum(tensor['size'] for tensor in self.outputs):
            return None
        codes, at = [], 0
        for tensor in self.outputs:
            part = values[at:at + tensor['size']]
            at += tensor['size']
            shift = tensor['zero'] + (128 if tensor['type'] == 's8' else 0)
            codes.append([value - shift for value in part] if raw else [round(v / tensor['scale']) for v in part])
        return [code for part in codes for code in part]


def compare(codes, reference):
    """How near two outputs are: largest difference in steps, share of differing values, correlation."""
    if not codes or not reference:
        return None
    apart = [abs(a - b) for a, b in zip(codes, reference)]
    try:
        correlation = statistics.correlation(codes, reference)
    except statistics.StatisticsError:  # a constant output has none
        correlation = 1.0 if max(apart) == 0 else 0.0
    return {'max_steps': max(apart), 'differing': sum(d > 0 for d in apart) / len(apart), 'correlation': correlation}


def engines_of(options):
    """name -> command with {model} and {threads}; ours first."""
    def program(name):
        return os.path.join(options.peers, name)
    library = (sorted(glob.glob('/usr/lib/*/libonnxruntime.so.1*')) or ['libonnxruntime.so'])[-1]
    engines = {name: [path, '{model}.tflite', '{threads}'] for name, path in options.ours.items()}
    engines['xnnpack'] = [program('worker_xnnpack'), '{model}.flat', '{threads}']
    engines['onnxruntime'] = [program('worker_onnxruntime'), '{model}.u8.onnx', '{threads}', library]
    engines['onednn'] = [program('worker_onednn'), '{model}.flat', '{threads}']
    engines['tflite'] = [program('worker_tflite'), '{model}.tflite', '{threads}', 'builtin']
    return engines


def expected(model, options):
    """Output of TFLite's reference kernels, which define the results: computed once (they are slow) and kept."""
    path = model.path + '.expected'
    if not os.path.exists(path):
        command = [os.path.join(options.peers, 'worker_tflite'), model.path + '.tflite', '1', 'reference']
        done = subprocess.run(command, input='out\nquit\n', capture_output=True, text=True)
        lines = [line for line in done.stdout.splitlines() if line.startswith('out ')]
        with open(path + '.part', 'w') as out:
            out.write(lines[0][4:] if lines else '')
        os.replace(path + '.part', path)
    with open(path) as text:
        return model.codes([float(value) for value in text.read().split()], raw=False)


def shortest_load_ms(command, worker, mode, threads, options):
    """The load time of one start is at the mercy of the neighbours: the least of a few."""
    times = [worker.info['load_ms']]
    for _ in range(LOADS - 1):
        again = Worker(worker.name, command, threads, mode, options)
        again.ask('quit')
        times += [again.info['load_ms']] if 'load_ms' in again.info else []
    return min(times)


def measure(model, mode, threads, engines, options, say):
    """One row of the result: all engines on one model, interleaved."""
    workers = []
    for name, command in engines.items():
        if mode in OURS_ALONE and name not in options.ours:
            continue
        filled = [word.replace('{model}', model.path).replace('{threads}', str(threads)) for word in command]
        workers.append(Worker(name, filled, threads, mode, options))
        if not workers[-1].failure and name in ('wayside', 'xnnpack', 'tflite'):
            workers[-1].info['load_ms'] = shortest_load_ms(filled, workers[-1], mode, threads, options)
    outputs = {}
    for worker in workers:
        worker.run(1)
        outputs[worker.name] = model.codes(worker.output(), raw=worker.name == 'onnxruntime')
    agreement = {name: compare(codes, expected(model, options)) for name, codes in outputs.items()}

    start, rounds = time.monotonic(), 0
    racers = [w for w in workers if w.name != 'tflite' or options.full]
    while rounds < options.rounds and (rounds < 4 or time.monotonic() - start < options.row_s):
        random.shuffle(racers)
        for worker in racers:
            if worker.failure:
                continue
            time.sleep(SETTLE_S)
            typical_us = min(worker.times_us)
            worker.run(max(2, min(options.burst, int(60e3 / typical_us))))
        rounds += 1

    figures = {worker.name: worker.finish() for worker in workers}
    for worker in workers:
        if worker.failure:
            say(f'{model.name}, {mode}, {threads} thread(s): {worker.name} {worker.failure}')
        elif worker.belief():
            options.beliefs[mode, worker.name] = worker.belief()
    ours = figures.pop('wayside')
    row = {'model': model.name, 'mode': mode, 'threads': threads, 'mmac': model.macs / 1e6,
           'traffic_bytes': model.traffic_bytes, 'rounds': rounds, 'ours_us': ours['min_us'] if ours else None,
           'peers_us': {name: peer['min_us'] for name, peer in figures.items() if peer},
           'ours': ours, 'peers': figures, 'agreement': agreement,
           'peak_gmacs': threads * options.peak[report.PEAK_OF_MODE[mode]]}
    return row


def measured_peak(options):
    """Best of the machine; called before and after the measurement, since one call may meet a busy moment."""
    done = subprocess.run([os.path.join(options.peers, 'peak')], capture_output=True, text=True)
    if done.returncode:
        sys.exit('bench engine: ' + done.stderr.strip())
    peak = json.loads(done.stdout)
    for name, value in options.peak.items():
        peak[name] = max(value, peak.get(name, 0))
    return peak


def usable_modes(wanted, options, say):
    """Modes that this machine has; the lesser ones are made by hiding CPUID bits, which not every machine can."""
    modes = []
    for mode in wanted:
        need = report.PEAK_OF_MODE[mode]
        if mode == 'native' and need not in options.peak:
            report.PEAK_OF_MODE['native'] = need = 'avxvnni_gmacs' if 'avxvnni_gmacs' in options.peak else 'avx2_maddubs_gmacs'
        if need not in options.peak:
            instead = STAND_IN.get(mode)
            usable = instead is not None and report.PEAK_OF_MODE[instead] in options.peak
            say(f'mode {mode} left out: this processor lacks it' +
                (f'; {instead}, a stand-in for it, is measured with our engine alone' if usable else ''))
            modes += [instead] if usable and instead not in wanted else []
            continue
        if mode != 'native' and mode not in OURS_ALONE:
            env = dict(os.environ, CPUMASK=mode, LD_PRELOAD=os.path.join(options.peers, 'libcpumask.so'))
            if not options.patched and subprocess.run(['/bin/true'], env=env, stderr=subprocess.DEVNULL).returncode:
                options.patched = make_patched(options)
                if not options.patched:
                    say(f'mode {mode} left out: CPUID bits can be hidden neither by faulting nor in patched copies')
                    continue
                say('CPUID bits are hidden in patched copies of the engines (this processor has no CPUID faulting)')
        modes.append(mode)
    return modes


def machine():
    with open('/proc/cpuinfo') as text:
        names = [line.split(':', 1)[1].strip() for line in text if line.startswith('model name')]
    return {'cpu': names[0] if names else platform.machine(), 'cores': os.cpu_count(), 'kernel': platform.release(),
            'load_average': os.getloadavg()[0]}


def versions():
    packages = {'xnnpack': 'libxnnpack*', 'onnxruntime': 'libonnxruntime1*', 'onednn': 'libdnnl3*', 'tflite': 'libtensorflow-lite2*'}
    found = {}
    for name, pattern in packages.items():
        done = subprocess.run(['dpkg-query', '-W', '-f', '${db:Status-Status} ${Version}\n', pattern], capture_output=True, text=True)
        found[name] = next((line.split()[1] for line in done.stdout.splitlines() if line.startswith('installed')), '?')
    return found


def arguments():
    parser = argparse.ArgumentParser(prog='bench engine')
    parser.add_argument('--peers', required=True, help='folder of the built peer workers')
    parser.add_argument('--generated', required=True, help='folder of the converted models')
    parser.add_argument('--worker', required=True, help='our worker')
    parser.add_argument('--also', action='append', default=[], metavar='NAME=WORKER', help='another build of our worker')
    parser.add_argument('--libraries', default='', help='libraries that our worker needs and this root lacks')
    parser.add_argument('--models', default='', help='comma-separated parts of model names (default: all)')
    parser.add_argument('--modes', default=','.join(MODES))
    parser.add_argument('--threads', default='1,2')
    parser.add_argument('--json')
    parser.add_argument('--plot')
    parser.add_argument('--commit', default='')
    parser.add_argument('--seed', type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument('--full', action='store_true')
    parser.add_argument('--budget-s', type=float, default=420)
    parser.add_argument('--load', type=int, default=0, metavar='N', help='load times and memory of N starts each instead')
    options = parser.parse_args()
    options.patched, options.beliefs = '', {}
    options.ours = {'wayside': options.worker, **dict(item.split('=', 1) for item in options.also)}
    options.rounds, options.burst, options.row_s = (25, 8, 60) if options.full else (40, 6, 4)
    for mode in options.modes.split(','):
        if mode not in MODES + tuple(OURS_ALONE):
            parser.error(f"unknown mode '{mode}'; there are: {', '.join(MODES + tuple(OURS_ALONE))}")
    for count in options.threads.split(','):
        if not count.isdigit() or not 1 <= int(count) <= os.cpu_count():
            parser.error(f"threads '{count}': this machine has 1 to {os.cpu_count()}")
    return options


def measure_loads(models, modes, options):
    rows = []
    for mode in modes:
        def start(name, command, mode=mode):
            return Worker(name, command, 1, mode, options)
        rows += [{'mode': mode, **load.measure(model, engines_of(options), start, options)} for model in models]
        print(f'\n**{mode}**\n\n' + load.markdown([row for row in rows if row['mode'] == mode], options.load))
    if options.json:
        with open(options.json, 'w') as out:
            json.dump({'commit': options.commit, 'seed': options.seed, 'machine': machine(), 'loads': rows}, out, indent=1)


def main():
    options = arguments()
    notes = []

    def say(note):
        notes.append(note)
        print('note: ' + note, file=sys.stderr, flush=True)

    random.seed(options.seed)
    options.peak = {}
    options.peak = measured_peak(options)
    modes = usable_modes(options.modes.split(','), options, say)
    known = sorted((Model(options.generated, os.path.basename(path)[:-5])
                    for path in glob.glob(os.path.join(options.generated, '*.flat'))), key=lambda m: m.macs)
    chosen = [m for m in known if not options.models or any(part in m.name for part in options.models.split(','))]
    if not chosen:
        sys.exit(f"bench engine: no model matches '{options.models}'; there are: {', '.join(m.name for m in known)}")
    if options.load:
        return measure_loads(chosen, modes, options)
    start = time.monotonic()
    engines, rows, late = engines_of(options), [], []
    for threads in map(int, options.threads.split(',')):
        for mode in modes:
            for model in chosen:
                if not options.full and time.monotonic() - start > options.budget_s:
                    late.append(f'{model.name} {mode} {threads}T')
                    continue
                rows.append(measure(model, mode, threads, engines, options, say))
                print(report.progress(rows[-1]), file=sys.stderr, flush=True)
    for row in rows:
        for name, us in [('wayside', row['ours_us']), *row['peers_us'].items()]:
            if us and 1e3 * row['mmac'] / us > 1.02 * row['threads'] * options.peak[report.PEAK_OF_MODE[row['mode']]]:
                say(f"{row['model']}, {row['mode']}: {name} is faster than the mode allows: its instructions were not hidden")
    for (mode, name), belief in options.beliefs.items():
        say(f'mode {mode}: {name} {belief}')
    if late:
        say(f'{len(late)} rows not measured, the time of the quick form was used up (--full measures all): ' + ', '.join(late))
    options.peak = measured_peak(options)
    for row in rows:
        row['peak_gmacs'] = row['threads'] * options.peak[report.PEAK_OF_MODE[row['mode']]]

    result = {'commit': options.commit, 'seed': options.seed, 'machine': machine(), 'versions': versions(),
              'peak': options.peak, 'notes': notes, 'geometric_means': report.means(rows), 'rows': rows}
    print(report.markdown(result))
    if options.json:
        with open(options.json, 'w') as out:
            json.dump(result, out, indent=1)
            out.write('\n')
    if options.plot:
        report.plot(result, options.plot)


if __name__ == '__main__':
    main()
