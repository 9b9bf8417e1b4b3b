"""Times source-cart, the published Python connector and a bare download against one store, in turn (A B A B).

Started by run.sh. `measure.py` runs and measures the processes.
The connectors write to /dev/null; that every record comes is checked once per case, outside the timed runs.
"""

import argparse
import json
import math
import platform
import sys
import tempfile

import measure
import plot
from measure import CURL, ROOT, Measurements, Targets, times_of

START = "2021-01-01T00:00:00Z"
PAGE = 1000
OURS, PYTHON = "source-cart", "Python connector"


class Store(measure.Store):
    """The Cart.com store of the benchmarks."""

    def set(self, words):
        self.tables = self.say("set " + words)["tables"]

    def pages(self):
        """Returns the targets of a download of all rows, page by page."""
        for name, (rows, _) in self.tables.items():
            dated = "" if name == "order_statuses" else "&sort=updated_at&updated_at=gt%3A" + START.replace(":", "%3A")
            for page in range(1, max(1, math.ceil(rows / PAGE)) + 1):
                yield f"https://localhost:{self.port}/api/v1/{name}?count={PAGE}{dated}&page={page}"


class Bench(Measurements):
    def __init__(self, options):
        super().__init__(Store(options.store), OURS, {})
        self.options = options

    def command(self, who, case, state=None, **config):
        """Returns the command line of one competitor."""
        if who == CURL:
            return self.curl(case, self.store.pages())
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
        targets = Targets(self.results)
        target = targets.add
        for case in ("bulk", "gzip"):
            target(case, "wall, times that of curl", 2.0, times_of(CURL))
            target(case, "wall, Python connector / source-cart", 15, lambda case: case[PYTHON]["wall_ratio"], False)
            target(case, "CPU, Python connector / source-cart", 10, lambda case: case[PYTHON]["cpu_ratio"], False)
            target(case, "peak memory", 32, lambda case: case[OURS]["peak_mib"], unit=" MiB")
        target("latency", "wall, times that of one request at a time (curl)", 0.2, times_of(CURL))
        for case in ("limited", "shared"):
            target(case, "wall, times the minimum under the call limit", 1.15, lambda case: case[OURS]["budget_ratio"])
        target("limited", "429s, percent of the requests", 1, lambda case: 100 * case[OURS]["refused"] / case[OURS]["requests"])
        target("shared", "429s", 0, lambda case: case[OURS]["refused"])
        target("unchanged", "requests, for seven streams", 7, lambda case: case[OURS]["requests"])
        target("spec", "wall", 10, lambda case: 1000 * case[OURS]["wall_s"], unit=" ms")
        target("spec", "wall, Python connector / source-cart", 100, lambda case: case[PYTHON]["wall_ratio"], False)
        return targets

    def versions(self):
        return f"Python {platform.python_version()}, airbyte-source-cart 0.3.58, curl {measure.curl_version()}"

    def head(self, targets):
        return [
            "# Performance",
            "",
            "For developers who change code that affects speed or memory. After this page you know how fast this version is, "
            "compared with curl and the Python connector, and whether it meets its targets. "
            "[performance-notes.md](performance-notes.md) explains where the time goes and why. "
            "[performance.json](performance.json) has the figures for programs. "
            "[performance-cs-cart.md](performance-cs-cart.md) is the same for CS-Cart.",
            "",
            "Written by `integration_tests/bench/run.sh`. Run it to get the figures of your machine.",
            "",
            f"This machine: {measure.machine()}. The store runs on the same cores, over TLS on loopback. {self.versions()}.",
            "",
            "The programs run alternately. Wall time, CPU time and peak memory are medians of complete processes. "
            "The store copies prepared bytes; the last column is its CPU time for that. "
            "curl downloads the same pages over one connection and discards them: the minimum, with one request at a time.",
            "",
            "![Wall time by case and competitor](performance.svg)",
            "",
            *targets.table(),
        ]

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
        targets.show()
        if chosen == list(cases) and not self.options.without_python:
            docs = ROOT / "docs" / "development"
            docs.mkdir(exist_ok=True)
            (docs / "performance.md").write_text("\n".join(self.head(targets) + self.lines).rstrip() + "\n")
            figures = {
                "machine": measure.machine(),
                "versions": self.versions(),
                "targets": targets.rows,
                "cases": self.results,
            }
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
