"""Runs processes alternately against a store, and measures them. The benchmarks of both shops use it.

Every run is a complete process; the kernel reports its CPU seconds and peak memory.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MIB = 1024 * 1024
CURL = "curl"


class Store:
    """A store of the benchmarks: one process for all cases."""

    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port, self.authority, *self.credentials = self.process.stdout.readline().split()

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def set(self, words):
        """Changes the settings. Each shop's store remembers here what it lists."""
        raise NotImplementedError

    def cpu(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


class Run:
    """The resources that one process used."""

    def __init__(self, command, environment, seconds, out=None, look=0.1):
        began = time.monotonic()
        # To be written only, as a shell opens it: a null device that can be read stands for a stdout that was closed.
        with open(os.devnull, "wb") as nowhere:
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=out or nowhere, stderr=subprocess.PIPE
            )
        noise = []
        reader = threading.Thread(target=lambda: noise.append(process.stderr.read()))
        reader.start()
        alarm = threading.Timer(seconds, process.kill)
        alarm.start()
        watcher = Watcher(process.pid, look)
        _, status, usage = os.wait4(process.pid, 0)
        self.wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        alarm.cancel()
        watcher.stop()
        reader.join()
        self.cpu = usage.ru_utime + usage.ru_stime
        # A child's account begins with the size of its parent: below that, what was seen while it ran.
        self.peak, self.at_most = usage.ru_maxrss * 1024, False
        if self.peak <= FLOOR:
            self.peak, self.at_most = watcher.peak or self.peak, watcher.peak == 0
        self.code = process.returncode
        self.noise = noise[0].decode(errors="replace") if noise else ""
        self.stats = {}
        self.store_cpu = 0.0


class Watcher(threading.Thread):
    """Measures the peak memory of a process while it runs."""

    def __init__(self, pid, longest):
        super().__init__(daemon=True)
        self.path, self.peak, self.ended = Path(f"/proc/{pid}/status"), 0, threading.Event()
        self.longest = longest
        self.start()

    def run(self):
        wait = 0.0005
        while not self.ended.wait(wait):
            try:
                lines = [line for line in self.path.read_text().splitlines() if line.startswith("VmHWM")]
            except OSError:
                return
            if lines:
                self.peak = max(self.peak, int(lines[0].split()[1]) * 1024)
            # A short process is looked at often, a long one seldom: looking costs the machine as well.
            wait = min(wait * 1.5, self.longest)

    def stop(self):
        self.ended.set()
        self.join()


def own_peak():
    lines = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(lines[0].split()[1]) * 1024


FLOOR = own_peak() + MIB


class Measurements:
    """Runs of competitors against a store, and the report about them."""

    # True if the table has a column for responses with status 429.
    has_call_limit = True

    def __init__(self, store, ours, environment):
        self.store, self.ours = store, ours
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self.environment = dict(
            os.environ, SSL_CERT_FILE=store.authority, REQUESTS_CA_BUNDLE=store.authority, **environment
        )
        self.case = ""
        self.lines = []
        # The measurements, by case and competitor.
        self.results = {}

    def write(self, name, content):
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    def curl(self, name, pages, settings=""):
        """Returns the command line of a download of these pages over one connection."""
        urls = "".join(f'url = "{page}"\noutput = "/dev/null"\n' for page in pages)
        head = f'silent\nshow-error\nfail\ncacert = "{self.store.authority}"\nheader = "Cache-Control: no-cache"\n'
        return [CURL, "--config", self.write(f"{name}.curl", head + settings + "compressed\n" + urls)]

    def run(self, command, seconds=900, out=None, look=0.1):
        self.store.say("stats")
        before = self.store.cpu()
        run = Run(command, self.environment, seconds, out, look)
        run.store_cpu = self.store.cpu() - before
        run.stats = self.store.say("stats")
        if run.code != 0:
            print(f"  exit code {run.code}: {' '.join(command[:2])}: {run.noise[-500:]}", file=sys.stderr)
        return run

    def alternate(self, commands, times, setting=None):
        """Runs the commands in turn. `times` is the number of runs of each; `setting` is set before each run."""
        runs = {who: [] for who in commands}
        for turn in range(max(times[who] for who in commands)):
            for who, command in commands.items():
                if turn < times[who]:
                    if setting:
                        self.store.set(setting)
                    runs[who].append(self.run(command))
        return runs

    def say(self, line=""):
        print(line, flush=True)
        self.lines.append(line)

    def table(self, runs, first=None):
        first = first or self.ours
        median = lambda who, what: statistics.median(getattr(run, what) for run in runs[who])
        figures = self.results.setdefault(self.case, {})
        limited = (lambda cell: f" {cell} |") if self.has_call_limit else lambda cell: ""
        self.say(f"| | runs | wall s (min to max) | CPU s | peak MiB | requests |{limited('429s')} store's CPU ms per request |")
        self.say(f"|---|---|---|---|---|---|{'---|' if self.has_call_limit else ''}---|")
        for who, all_of in runs.items():
            walls = [run.wall for run in all_of]
            requests = statistics.median(run.stats["requests"] for run in all_of)
            refused = max(run.stats["refused"] for run in all_of)
            served = sum(run.store_cpu for run in all_of) / max(1, sum(run.stats["requests"] for run in all_of)) * 1000
            figures[who] = {
                "runs": len(all_of),
                "failed": sum(run.code != 0 for run in all_of),
                "wall_s": round(statistics.median(walls), 4),
                "wall_min_s": round(min(walls), 4),
                "wall_max_s": round(max(walls), 4),
                "cpu_s": round(median(who, "cpu"), 4),
                "peak_mib": round(median(who, "peak") / MIB, 1),
                "requests": requests,
                "refused": refused,
                "store_cpu_ms_a_request": round(served, 2),
            }
            at_most = "at most " if any(run.at_most for run in all_of) else ""
            failed = "" if all(run.code == 0 for run in all_of) else " (failed)"
            self.say(
                f"| {who}{failed} | {len(all_of)} | {statistics.median(walls):.3f} ({min(walls):.3f} to {max(walls):.3f}) "
                f"| {median(who, 'cpu'):.3f} | {at_most}{median(who, 'peak') / MIB:.1f} | {requests:g} |{limited(refused)} {served:.1f} |"
            )
        for who in runs:
            if who != first and runs[first] and runs[who]:
                # Pair by pair, so that a machine whose speed drifts does not count.
                pairs = list(zip(runs[who], runs[first]))
                wall = statistics.median(a.wall / b.wall for a, b in pairs)
                cpu = statistics.median(a.cpu / max(b.cpu, 0.001) for a, b in pairs)
                figures[who] |= {"wall_ratio": round(wall, 3), "cpu_ratio": round(cpu, 3)}
                self.say()
                self.say(f"{first} : {who}, median of the pairs: wall 1 : {wall:.2f}, CPU 1 : {cpu:.2f}.")
        self.say()


class Targets:
    """The targets of a benchmark, the measured values, and whether they are met."""

    def __init__(self, results):
        self.results, self.rows = results, []

    def add(self, case, what, bound, measure, is_most=True, unit=""):
        """Compares a value of a case with its bound. A case that was not measured has no row."""
        try:
            value = measure(self.results[case])
        except KeyError:
            return
        met = value <= bound if is_most else value >= bound
        limit = f"at {'most' if is_most else 'least'} {bound:g}{unit}"
        self.rows.append({"case": case, "what": what, "target": limit, "measured": f"{value:.3g}{unit}", "met": met})

    def show(self):
        for row in self.rows:
            print(f"{'met   ' if row['met'] else 'MISSED'} {row['case']}: {row['what']}: {row['measured']} ({row['target']})")

    def table(self):
        lines = ["| case | figure | target | measured | |", "|---|---|---|---|---|"]
        for row in self.rows:
            lines.append(
                f"| {row['case']} | {row['what']} | {row['target']} | {row['measured']} | {'met' if row['met'] else '**missed**'} |"
            )
        return [*lines, ""]


def times_of(who):
    """Returns a function of a case: the wall time of the first competitor, in times that of another one."""
    return lambda case: 1 / case[who]["wall_ratio"]


def machine():
    """Describes the machine."""
    model = next(
        (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB of memory, Linux {platform.release().split('-')[0]}"


def curl_version():
    return subprocess.run([CURL, "--version"], capture_output=True, text=True).stdout.split()[1]
