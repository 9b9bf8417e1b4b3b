"""Times source-cart, the published Python connector and a bare download against one store, in turn (A B A B).

Started by run.sh. Every run is a complete process; the kernel reports its CPU seconds and peak memory.
The connectors write to /dev/null; that every record comes is checked once per case, outside the timed runs.
"""

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import plot

ROOT = Path(__file__).resolve().parents[2]
START = "2021-01-01T00:00:00Z"
PAGE = 1000
MIB = 1024 * 1024
OURS, PYTHON, CURL = "source-cart", "Python connector", "curl"


class Store:
    """The store of the benchmarks: one process for all cases."""

    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port, self.authority = self.process.stdout.readline().split()

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def set(self, words):
        self.tables = self.say("set " + words)["tables"]

    def cpu(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def pages(self):
        """Returns the targets of a download of all rows, page by page."""
        for name, (rows, _) in self.tables.items():
            dated = "" if name == "order_statuses" else "&sort=updated_at&updated_at=gt%3A" + START.replace(":", "%3A")
            for page in range(1, max(1, math.ceil(rows / PAGE)) + 1):
                yield f"https://localhost:{self.port}/api/v1/{name}?count={PAGE}{dated}&page={page}"

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


class Bench:
    def __init__(self, options):
        self.options = options
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self.store = Store(options.store)
        self.environment = dict(os.environ, SSL_CERT_FILE=self.store.authority, REQUESTS_CA_BUNDLE=self.store.authority)
        self.lines = []
        # The measurements, by case and competitor, for docs/development/performance.json.
        self.results = {}

    def write(self, name, content):
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    def command(self, who, case, state=None, **config):
        """Returns the command line of one competitor."""
        if who == CURL:
            pages = "".join(f'url = "{page}"\noutput = "/dev/null"\n' for page in self.store.pages())
            settings = f'silent\nshow-error\nfail\ncacert = "{self.store.authority}"\nheader = "Cache-Control: no-cache"\n'
            return ["curl", "--config", self.write(f"{case}.curl", settings + "compressed\n" + pages)]
        credentials = {
            "auth_type": "SINGLE_STORE_ACCESS_TOKEN",
            "access_token": "bench-token",
            "store_name": f"localhost:{self.store.port}",
        }
        program = self.options.ours if who == OURS else self.options.python
        settings = self.write(f"{case}-{who}-config.json", {"credentials": credentials, "start_date": START, **config})
        streams = []
        for name in self.store.tables:
            dated = name != "order_statuses"
            known = "customers_cart" if who == PYTHON and name == "customers" else name
            stream = {
                "name": known,
                "json_schema": {},
                "supported_sync_modes": ["full_refresh", "incremental"] if dated else ["full_refresh"],
            }
            if dated:
                stream |= {"source_defined_cursor": True, "default_cursor_field": ["updated_at"]}
            mode = "incremental" if dated or who == OURS else "full_refresh"
            entry = {"stream": stream, "sync_mode": mode, "destination_sync_mode": "append"}
            if dated:
                entry["cursor_field"] = ["updated_at"]
            streams.append(entry)
        catalog = self.write(f"{case}-{who}-catalog.json", {"streams": streams})
        command = [program, "read", "--config", settings, "--catalog", catalog]
        if state is not None:
            command += ["--state", self.write(f"{case}-{who}-state.json", state)]
        return command

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

    def records(self, command):
        """Returns the number of records and the last state of each stream, outside the timed runs."""
        with tempfile.TemporaryFile() as out:
            self.run(command, out=out)
            out.seek(0)
            count, states = 0, {}
            for line in out:
                if line.startswith(b'{"type":"RECORD"') or b'"type":"RECORD"' in line[-200:]:
                    count += 1
                elif b'"STATE"' in line:
                    state = json.loads(line)["state"]
                    states[state["stream"]["stream_descriptor"]["name"]] = state
        return count, list(states.values())

    # -- the report --

    def say(self, line=""):
        print(line, flush=True)
        self.lines.append(line)

    def table(self, runs, first=OURS):
        median = lambda who, what: statistics.median(getattr(run, what) for run in runs[who])
        figures = self.results.setdefault(self.case, {})
        self.say("| | runs | wall s (min to max) | CPU s | peak MiB | requests | 429s | store's CPU ms per request |")
        self.say("|---|---|---|---|---|---|---|---|")
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
                f"| {median(who, 'cpu'):.3f} | {at_most}{median(who, 'peak') / MIB:.1f} | {requests:g} | {refused} | {served:.1f} |"
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

    # -- the cases --

    def bulk(self, title, gzip):
        self.store.set(f"data=seven gzip={gzip}")
        rows = sum(rows for rows, _ in self.store.tables.values())
        size = sum(size for _, size in self.store.tables.values())
        self.say(f"## {rows:,} rows in seven streams, {size / 1e6:.0f} MB{title}")
        self.say()
        commands = {who: self.command(who, f"bulk{gzip}") for who in self.who()}
        for who in commands:
            if who != CURL:
                count, _ = self.records(commands[who])
                self.say(f"{who}: {count:,} records delivered.")
        self.say()
        fast, slow = self.options.runs, self.options.slow_runs
        self.table(self.alternate(commands, {OURS: fast, CURL: fast, PYTHON: slow}))

    def who(self):
        return [OURS, CURL] + ([] if self.options.without_python else [PYTHON])

    def latency(self):
        setting = "data=one latency_ms=150"
        self.store.set(setting)
        self.say("## One stream of 200 pages, 150 ms per response, no limit")
        self.say()
        commands = {who: self.command(who, "latency") for who in self.who()}
        self.table(self.alternate(commands, {OURS: 3, CURL: 1, PYTHON: 1}, setting))

    def side_by_side(self):
        """Measures 4, 8 and 16 concurrent requests, to justify the default."""
        self.say("## Concurrent requests (`max_requests_in_flight`)")
        self.say()
        for title, setting in (
            ("One stream of 200 pages, 150 ms per response", "data=one latency_ms=150"),
            ("Seven streams, 150 ms per response", "data=seven latency_ms=150"),
        ):
            self.store.set(setting)
            self.say(f"{title}:")
            self.say()
            commands = {
                f"{number} concurrent": self.command(OURS, f"side{number}", max_requests_in_flight=number)
                for number in (4, 8, 16)
            }
            case, self.case = self.case, f"{self.case}, {setting.split()[0]}"
            self.table(self.alternate(commands, dict.fromkeys(commands, 2), setting), first="8 concurrent")
            self.case = case

    def limited(self):
        setting = "data=one latency_ms=150 limit=50"
        self.store.set(setting)
        self.say("## The same with 50 calls per 10 s")
        self.say()
        commands = {OURS: self.command(OURS, "limited")}
        if not self.options.without_python:
            commands[PYTHON] = self.command(PYTHON, "limited")
        runs = self.alternate(commands, {OURS: 1, PYTHON: 1}, setting)
        self.table(runs)
        self.budget(runs[OURS][0], 50)

    def shared(self):
        setting = "data=seven limit=20"
        self.store.set(setting)
        self.say("## Seven streams with 20 calls per 10 s")
        self.say()
        commands = {OURS: self.command(OURS, "shared")}
        if not self.options.without_python:
            commands[PYTHON] = self.command(PYTHON, "shared")
        runs = self.alternate(commands, {OURS: 1, PYTHON: 1}, setting)
        self.table(runs)
        self.budget(runs[OURS][0], 20)

    def budget(self, run, usable):
        pages = sum(max(1, math.ceil(rows / PAGE)) for rows, _ in self.store.tables.values())
        for what, calls in (("pages of the stream", pages), ("requests made", run.stats["requests"])):
            steady = calls / usable * 10
            windows = (math.ceil(calls / usable) - 1) * 10
            if calls == run.stats["requests"]:
                self.results[self.case][OURS]["budget_ratio"] = round(run.wall / max(windows, 1), 3)
            self.say(
                f"- {calls} {what}: {steady:.1f} s at the steady rate of the budget (measured 1 : {run.wall / steady:.2f}); "
                f"the last window begins after {windows} s (1 : {run.wall / max(windows, 1):.2f})."
            )
        self.say()

    def start(self):
        self.say("## `spec`")
        self.say()
        commands = {OURS: [self.options.ours, "spec"]}
        if not self.options.without_python:
            commands[PYTHON] = [self.options.python, "spec"]
        self.table(self.alternate(commands, {OURS: 20, PYTHON: 5}))

    def unchanged(self):
        self.store.set("data=seven")
        self.say("## A sync without changes")
        self.say()
        commands = {}
        for who in self.who():
            if who == CURL:
                continue
            _, states = self.records(self.command(who, "first"))
            commands[who] = self.command(who, "unchanged", state=states)
            count, _ = self.records(commands[who])
            self.say(f"{who}: {count} records.")
        self.say()
        self.table(self.alternate(commands, {OURS: self.options.runs, PYTHON: 3}))

    def targets(self):
        """Returns each target, the measured value, and true if the target is met."""
        rows = []

        def target(case, what, bound, measure, is_most=True, unit=""):
            try:
                value = measure(self.results[case])
            except KeyError:
                return
            met = value <= bound if is_most else value >= bound
            limit = f"at {'most' if is_most else 'least'} {bound:g}{unit}"
            rows.append({"case": case, "what": what, "target": limit, "measured": f"{value:.3g}{unit}", "met": met})

        def inverse(who, what):
            return lambda case: 1 / case[who][what]

        for case in ("bulk", "gzip"):
            target(case, "wall, times that of curl", 2.0, inverse(CURL, "wall_ratio"))
            target(case, "wall, Python connector / source-cart", 15, lambda case: case[PYTHON]["wall_ratio"], False)
            target(case, "CPU, Python connector / source-cart", 10, lambda case: case[PYTHON]["cpu_ratio"], False)
            target(case, "peak memory", 32, lambda case: case[OURS]["peak_mib"], unit=" MiB")
        target("latency", "wall, times that of one request at a time (curl)", 0.2, inverse(CURL, "wall_ratio"))
        for case in ("limited", "shared"):
            target(case, "wall, times the minimum under the call limit", 1.15, lambda case: case[OURS]["budget_ratio"])
        target("limited", "429s, percent of the requests", 1, lambda case: 100 * case[OURS]["refused"] / case[OURS]["requests"])
        target("shared", "429s", 0, lambda case: case[OURS]["refused"])
        target("unchanged", "requests, for seven streams", 7, lambda case: case[OURS]["requests"])
        target("spec", "wall", 10, lambda case: 1000 * case[OURS]["wall_s"], unit=" ms")
        target("spec", "wall, Python connector / source-cart", 100, lambda case: case[PYTHON]["wall_ratio"], False)
        return rows

    def machine(self):
        model = next(
            (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
            platform.machine(),
        )
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        curl = subprocess.run(["curl", "--version"], capture_output=True, text=True).stdout.split()[1]
        return (
            f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB of memory, Linux {platform.release().split('-')[0]}",
            f"Python {platform.python_version()}, airbyte-source-cart 0.3.58, curl {curl}",
        )

    def head(self, targets):
        machine, versions = self.machine()
        lines = [
            "# Performance",
            "",
            "For developers who change code that affects speed or memory. After this page you know how fast this version is, "
            "compared with curl and the Python connector, and whether it meets its targets. "
            "[performance-notes.md](performance-notes.md) explains where the time goes and why. "
            "[performance.json](performance.json) has the figures for programs.",
            "",
            "Written by `integration_tests/bench/run.sh`. Run it to get the figures of your machine.",
            "",
            f"This machine: {machine}. The store runs on the same cores, over TLS on loopback. {versions}.",
            "",
            "The programs run alternately. Wall time, CPU time and peak memory are medians of complete processes. "
            "The store copies prepared bytes; the last column is its CPU time for that. "
            "curl downloads the same pages over one connection and discards them: the minimum, with one request at a time.",
            "",
            "![Wall time by case and competitor](performance.svg)",
            "",
            "| case | figure | target | measured | |",
            "|---|---|---|---|---|",
        ]
        for row in targets:
            lines.append(
                f"| {row['case']} | {row['what']} | {row['target']} | {row['measured']} | {'met' if row['met'] else '**missed**'} |"
            )
        return [*lines, ""]

    def report(self):
        cases = {
            "bulk": lambda: self.bulk("", 0),
            "gzip": lambda: self.bulk(", gzipped", 1),
            "latency": self.latency,
            "limited": self.limited,
            "shared": self.shared,
            "spec": self.start,
            "unchanged": self.unchanged,
            "inflight": self.side_by_side,
        }
        chosen = self.options.cases or list(cases)
        if unknown := [name for name in chosen if name not in cases]:
            self.store.stop()
            sys.exit(f"run.sh: there is no case {', '.join(unknown)}; there are {', '.join(cases)}")
        try:
            for name in chosen:
                self.case = name
                cases[name]()
        finally:
            self.store.stop()
        targets = self.targets()
        for row in targets:
            print(f"{'met   ' if row['met'] else 'MISSED'} {row['case']}: {row['what']}: {row['measured']} ({row['target']})")
        if chosen == list(cases) and not self.options.without_python:
            docs = ROOT / "docs" / "development"
            docs.mkdir(exist_ok=True)
            (docs / "performance.md").write_text("\n".join(self.head(targets) + self.lines).rstrip() + "\n")
            machine, versions = self.machine()
            figures = {"machine": machine, "versions": versions, "targets": targets, "cases": self.results}
            (docs / "performance.json").write_text(json.dumps(figures, indent=1) + "\n")
            plot.draw(docs / "performance.json", docs / "performance.svg")
            print("written to docs/development/performance.md, docs/development/performance.json and docs/development/performance.svg")


def main():
    parser = argparse.ArgumentParser(prog="run.sh", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("cases", nargs="*", help="bulk gzip latency limited shared spec unchanged inflight; all if none is named.\nOnly a run of all cases writes docs/development/performance.*.")
    parser.add_argument("--runs", type=int, default=7, help="runs of the fast ones (default 7)")
    parser.add_argument("--slow-runs", type=int, default=3, help="runs of the Python connector (default 3)")
    parser.add_argument("--without-python", action="store_true", help="leave the Python connector out")
    for name in ("ours", "python", "store"):
        parser.add_argument(f"--{name}", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    Bench(parser.parse_args()).report()


if __name__ == "__main__":
    main()
