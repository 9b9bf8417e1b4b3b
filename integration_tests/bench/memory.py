"""Checks that the connector's memory is limited, for any length of a stream and any speed of the reader.

Started by .ci/memory. Ends with 1 if a bound is broken, and says which.
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
import time

from bench import OURS, Bench
from measure import MIB

FEW, MANY = 20_000, 2_000_000
RISE = 1.10
PAGES_IN_FLIGHT = 8
# A peak is the highest of what was met by chance: the shorter read gets more chances.
TIMES = {FEW: 40, MANY: 1}
# The reader of stdout begins late, so that the pages in flight are all there, in a short read as in a long one.
LATE = 0.5


def peak(bench, rows):
    bench.store.set(f"data=long rows={rows}")
    command = bench.command(OURS, f"memory{rows}")
    runs = [read_late(bench, command) for _ in range(TIMES[rows])]
    if any(run.code != 0 or run.stats["requests"] < rows // 1000 for run in runs):
        sys.exit(f"memory: the read of {rows:,} rows failed")
    return max(run.peak for run in runs)


def read_late(bench, command):
    source, sink = os.pipe()

    def drain():
        time.sleep(LATE)
        while os.read(source, MIB):
            pass

    reader = threading.Thread(target=drain)
    reader.start()
    # A short read is over soon: its memory is looked at every millisecond.
    run = bench.run(command, out=sink, look=0.001)
    os.close(sink)
    reader.join()
    os.close(source)
    return run


def slow_reader(bench):
    """Returns the number of pages requested while no program reads, and how many of them after a second."""
    bench.store.set(f"data=long rows={MANY}")
    command = bench.command(OURS, "slow")
    process = subprocess.Popen(command, env=bench.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        process.stdout.read(3 * MIB)
        # Requests in flight finish.
        time.sleep(2)
        before = bench.store.say("stats")["requests"]
        time.sleep(3)
        return before, bench.store.say("stats")["requests"], resident(process.pid)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def resident(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--store", required=True)
    options = parser.parse_args()
    options.python = ""
    bench = Bench(options)
    failed = False
    try:
        # Memory that grows with the rows grows in each run; another process on the machine disturbs only one.
        for _ in range(3):
            few, many = peak(bench, FEW), peak(bench, MANY)
            print(f"peak memory: {few / MIB:.1f} MiB for {FEW:,} rows, {many / MIB:.1f} MiB for {MANY:,} (1 : {many / few:.2f})")
            if many <= few * RISE:
                break
        else:
            print(f"memory: more than {RISE:.2f} times as much for a longer stream", file=sys.stderr)
            failed = True
        before, later, held = slow_reader(bench)
        print(f"a reader that stopped after 3 MiB: {before} requests, {later} in the three seconds after; {held / MIB:.1f} MiB held")
        # Pages in flight, the batches on their way to stdout, what was read before, and three questions.
        if later != 0 or before > 2 * PAGES_IN_FLIGHT + 8:
            print("memory: a slow reader of stdout does not stop the requests", file=sys.stderr)
            failed = True
    finally:
        bench.store.stop()
    sys.exit(failed)


if __name__ == "__main__":
    main()
