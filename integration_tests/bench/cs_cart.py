"""Compares source-cs-cart with dlt's `rest_api` source and a bare download, at one CS-Cart store, in turn (A B A B).

Started by cs_cart.sh. `measure.py` runs and measures the processes; `cs_cart_pipeline.py` is what dlt runs.
source-cs-cart writes to /dev/null, dlt to its own files or a DuckDB database. Before the timed runs of a case, each
program runs once: the store then has its responses prepared, and the rows that arrive are counted.
"""

import argparse
import json
import math
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import measure
from measure import CURL, ROOT, Measurements, Targets, times_of

OURS = "source-cs-cart"
DLT, EXTRACT, SHORT, NESTED = "dlt", "dlt, extract only", "dlt, short rows", "dlt, default nesting"
# The connector's default: complete orders are expensive for a store.
PAGE = 50
PARAMETERS = {"orders": {"items_per_page": PAGE, "get_orders_data": 1}, "carts": {"items_per_page": PAGE}}
SHORT_PARAMETERS = {"orders": {"items_per_page": PAGE}}
LATENCY_MS = 150
# Rows that are wrong, as the store's comparison names them.
FAULTS = ("missing", "stale", "doubled", "unexpected")
READS = ("first, the store changes", "second, the store changes", "third, the store is quiet")


class Store(measure.Store):
    """The CS-Cart store of the benchmarks."""

    def set(self, words):
        self.rows = self.say("set " + words)

    def url(self):
        return f"https://localhost:{self.port}"

    def pages(self, name):
        """Returns the URLs of all pages of a list."""
        parameters = "".join(f"&{key}={value}" for key, value in PARAMETERS[name].items())
        for page in range(1, math.ceil(self.rows[name] / PAGE) + 1):
            yield f"{self.url()}/api/2.0/{name}?page={page}&sort_by=date&sort_order=asc{parameters}"


class CsCartBench(Measurements):
    has_call_limit = False

    def __init__(self, options):
        self.options = options
        store = Store(options.store)
        super().__init__(store, OURS, {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR"})
        self.environment["DLT_DATA_DIR"] = str(self.folder / "dlt")
        self.email, self.key = store.credentials

    def sized(self, full, quick):
        return quick if self.options.quick else full

    # -- commands --

    def command(self, who, streams, state=None):
        """Returns the command line of one competitor."""
        if who == CURL:
            (name,) = streams
            sign_in = f'user = "{self.email}:{self.key}"\n'
            return self.curl(name, self.store.pages(name), sign_in)
        if who != OURS:
            return self.pipeline(who, streams, "extract" if who == EXTRACT else "load")
        config = {"store_url": self.store.url(), "email": self.email, "api_key": self.key, "rows_per_request": PAGE}
        command = [self.options.ours, "read", "--config", self.write("config.json", config)]
        command += ["--streams", ",".join(streams)]
        if state is not None:
            command += ["--state", self.write("state.json", state)]
        return command

    def pipeline(self, who, streams, task):
        parameters = SHORT_PARAMETERS if who == SHORT else PARAMETERS
        settings = {
            "task": task,
            "url": self.store.url(),
            "email": self.email,
            "key": self.key,
            "folder": str(self.folder / "pipeline"),
            "resources": {name: parameters[name] for name in streams},
            # With complete rows, dlt's default makes columns for each line of each order.
            "nesting": None if who == NESTED else 0,
        }
        return [sys.executable, "-B", str(Path(__file__).with_name("cs_cart_pipeline.py")), json.dumps(settings)]

    def read(self, who, streams, state=None):
        """Runs a competitor once. Returns the run, a file of rows for each stream, and the state after it."""
        files = {name: self.folder / f"{name}.jsonl" for name in streams}
        states = []
        with tempfile.TemporaryFile() as out:
            run = self.run(self.command(who, streams, state), out=out)
            if who == OURS:
                out.seek(0)
                states = split(out, files)
        if who not in (OURS, CURL, EXTRACT):
            for name, file in files.items():
                with open(file, "wb") as rows:
                    self.run(self.pipeline(who, [name], "rows"), out=rows)
        return run, files, states

    # -- the cases --

    def timed(self, title, setting, stream, runs):
        """Measures a read of one stream. `runs` has the number of runs of each competitor."""
        self.store.set(setting)
        self.say(f"## {title.format(self.store.rows[stream])}")
        self.say()
        for who in runs:
            _, files, _ = self.read(who, [stream])
            if who not in (CURL, EXTRACT):
                with open(files[stream], "rb") as rows:
                    count = sum(1 for _ in rows)
                self.say(f"{who}: {count:,} of {self.store.rows[stream]:,} rows.")
                self.results.setdefault(self.case, {}).setdefault("rows", {})[who] = count
        self.say()
        commands = {who: self.command(who, [stream]) for who in runs}
        self.table(self.alternate(commands, runs))

    def runs(self, *slow):
        fast = self.sized(self.options.runs, 2)
        return {OURS: fast, CURL: fast} | dict.fromkeys(slow, self.sized(self.options.slow_runs, 1))

    def orders(self):
        orders = self.sized(20_900, 700)
        self.timed("{:,} orders with their lines", f"orders={orders}", "orders", self.runs(EXTRACT, DLT, SHORT))

    def gzip(self):
        orders = self.sized(20_900, 700)
        self.timed("{:,} orders, gzipped", f"orders={orders} gzip=1", "orders", self.runs(EXTRACT))

    def carts(self):
        carts = self.sized(20_000, 500)
        self.timed("{:,} carts of one store", f"orders=20000 carts={carts} stores=1", "carts", self.runs(EXTRACT, DLT))

    def stores(self):
        carts = self.sized(20_000, 500)
        title = "{:,} carts of two stores, some users have one in each"
        self.timed(title, f"orders=20000 carts={carts}", "carts", self.runs(EXTRACT, DLT))

    def latency(self):
        orders = self.sized(2_000, 300)
        title = f"{{:,}} orders, {LATENCY_MS} ms per response"
        runs = {OURS: 3, CURL: 3, EXTRACT: 1}
        self.timed(title, f"orders={orders} latency_ms={LATENCY_MS}", "orders", runs)

    def nesting(self):
        self.timed("{:,} orders, dlt with its default nesting", "orders=150", "orders", {OURS: 1, DLT: 1, NESTED: 1})

    def changing(self):
        seeds = range(1, self.sized(self.options.seeds, 1) + 1)
        size = self.sized("orders=2000 carts=1500", "orders=400 carts=300")
        sums = {}
        for seed in seeds:
            for who in (OURS, DLT):
                self.store.set(f"{size} changes=3 seed={seed}")
                state = None
                for number, read in enumerate(READS):
                    if number == len(READS) - 1:
                        self.store.say("still")
                    self.store.say("begin")
                    run, files, state = self.read(who, ["orders", "carts"], state if who == OURS else None)
                    for stream, file in files.items():
                        mode = "incremental" if who == OURS and stream == "orders" else "full"
                        found = self.store.say(f"compare {mode} {stream} {file}") | {"requests": run.stats["requests"]}
                        found["failed"] = int(run.code != 0)
                        total = sums.setdefault((read, stream, who), dict.fromkeys(found, 0))
                        sums[read, stream, who] = {name: total[name] + value for name, value in found.items()}
        self.say(f"## A store that changes ({len(seeds)} stores of {size.replace('=', ' ').replace(' carts', ', carts')})")
        self.say()
        self.say(
            "Before each request, up to three changes: orders are placed, imported, edited and deleted, products edited, "
            "and carts filled, merged, emptied and bought. Each program reads orders and carts three times, the third "
            "time without changes. A row is missing if it was there during the entire read and did not arrive; stale if it "
            "arrived as it never was during the read; doubled if it arrived twice. Sums over the stores; the requests are "
            "those for both streams."
        )
        self.say()
        self.say("| read | stream | | requests | rows to read | missing | stale | doubled | not promised |")
        self.say("|---|---|---|---|---|---|---|---|---|")
        for stream in ("orders", "carts"):
            for read in READS:
                for who in (OURS, DLT):
                    self.row_of_faults(read, stream, who, sums[read, stream, who])
        self.say()
        self.say("[What cannot be promised](../reference/cs-cart.md#what-cannot-be-promised) lists the rows of the last column.")
        self.say()

    def row_of_faults(self, read, stream, who, found):
        if found["failed"] or found["unexpected"]:
            print(f"  {read}, {who}, {stream}: {found}", file=sys.stderr)
        self.say(
            f"| {read} | {stream} | {who} | {found['requests']:,} | {found['required']:,} "
            f"| {found['missing']:,} | {found['stale']:,} | {found['doubled']:,} | {found['excused']:,} |"
        )
        figures = self.results.setdefault(self.case, {}).setdefault(who, {"wrong": 0})
        figures["wrong"] += sum(found[name] for name in FAULTS) + found["failed"]

    # -- the report --

    def targets(self):
        targets = Targets(self.results)
        for case in ("orders", "gzip"):
            targets.add(case, "wall, times that of curl", 2.0, times_of(CURL))
        for case in ("orders", "gzip", "carts", "stores", "latency"):
            targets.add(case, "peak memory", 32, lambda case: case[OURS]["peak_mib"], unit=" MiB")
        targets.add("changing", "rows missing, stale or doubled", 0, lambda case: case[OURS]["wrong"])
        return targets

    def head(self, targets):
        return [
            "# Performance with CS-Cart",
            "",
            "For developers who change code that affects the speed or memory of `source-cs-cart`, or how it reads. After "
            "this page you know how fast this version is, compared with curl and with dlt, which rows each of them loses, "
            "and whether this version meets its targets. [performance.md](performance.md) is the same for Cart.com.",
            "",
            "Written by `integration_tests/bench/cs_cart.sh`. Run it to get the figures of your machine; `--quick` takes a "
            "minute and writes nothing.",
            "",
            f"This machine: {measure.machine()}. The store runs on the same cores, over TLS on loopback. "
            f"Python {'.'.join(map(str, sys.version_info[:3]))}, dlt {version('dlt')}, duckdb {version('duckdb')}, "
            f"curl {measure.curl_version()}.",
            "",
            "The programs run alternately. Wall time, CPU time and peak memory are medians of complete processes. The store "
            "is the fake store of the tests; where it does not change, it repeats prepared bytes, so that the client is "
            f"measured and not the store. All programs request pages of {PAGE} rows, one request at a time.",
            "",
            f"- `{OURS}` has its default settings and writes its messages to the null device.",
            "- curl downloads the same pages over one connection and discards them: the minimum.",
            "- `dlt` is dlt's `rest_api` source, configured as its documentation says for any API with page numbers, with "
            "DuckDB as its destination. It replaces the table with each read. Two settings help it: "
            "`get_orders_data=1`, without which the store lists orders without lines, addresses and `updated_at`, and "
            "`max_table_nesting=0`, without which dlt makes columns for each line of each order.",
            "- A cart is listed in each window of time in which it has a line, so `source-cs-cart` takes more requests "
            "for carts than there are pages. Pages of carts cannot be read without loss, since the store sorts them by "
            "nothing that is unique.",
            "- `dlt, extract only` ends before dlt writes to DuckDB. `dlt, short rows` is without `get_orders_data`. "
            "`dlt, default nesting` is without `max_table_nesting`.",
            "",
            *targets.table(),
        ]

    def report(self):
        cases = ("orders", "gzip", "carts", "stores", "latency", "nesting", "changing")
        chosen = self.options.cases or [case for case in cases if case != "nesting" or not self.options.quick]
        if unknown := [name for name in chosen if name not in cases]:
            self.store.stop()
            sys.exit(f"cs_cart.sh: there is no case {', '.join(unknown)}; there are {', '.join(cases)}")
        try:
            for self.case in chosen:
                getattr(self, self.case)()
        finally:
            self.store.stop()
        targets = self.targets()
        targets.show()
        if set(chosen) == set(cases) and not self.options.quick:
            page = ROOT / "docs" / "development" / "performance-cs-cart.md"
            page.write_text("\n".join(self.head(targets) + self.lines).rstrip() + "\n")
            print("written to docs/development/performance-cs-cart.md")


def split(messages, files):
    """Writes the data of each record to the file of its stream. Returns the last state of each stream."""
    outputs = {name: open(file, "w") for name, file in files.items()}
    states = {}
    for line in messages:
        message = json.loads(line)
        if message["type"] == "RECORD":
            record = message["record"]
            print(json.dumps(record["data"]), file=outputs[record["stream"]])
        elif message["type"] == "STATE":
            state = message["state"]
            states[state["stream"]["stream_descriptor"]["name"]] = state
    for output in outputs.values():
        output.close()
    return list(states.values())


def main():
    parser = argparse.ArgumentParser(prog="cs_cart.sh", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("cases", nargs="*", help="orders gzip carts stores latency nesting changing; all if none is named.\nOnly a run of all cases writes the page.")
    parser.add_argument("--quick", action="store_true", help="few rows and runs, in a minute; writes nothing")
    parser.add_argument("--runs", type=int, default=21, help="runs of the fast programs (default 21)")
    parser.add_argument("--slow-runs", type=int, default=3, help="runs of dlt (default 3)")
    parser.add_argument("--seeds", type=int, default=5, help="number of changing stores (default 5)")
    for name in ("ours", "store"):
        parser.add_argument(f"--{name}", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    CsCartBench(parser.parse_args()).report()


if __name__ == "__main__":
    main()
