"""Runs the line of examples/cron as cron does, twice with a change in between and once more, and compares the rows."""

import json
import re
import subprocess
import sys
from decimal import Decimal

from client import EXAMPLES, NOTE, Client
from compare import Form

NAMES = ["customers", "orders", "order_items", "products"]


def main() -> int:
    client = Client("cron")
    home = client.folder / "home"
    (home / "cart").mkdir(parents=True)
    (client.folder / "config.json").rename(home / "cart" / "config.json")
    (home / "cart" / "source-cart").symlink_to(client.given.source.resolve())
    # The environment that cron gives to a job: a minimum, and the variables of the table.
    environment = {"HOME": str(home), "LOGNAME": "user", "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"}
    job = ""
    for line in (EXAMPLES / "cron" / "crontab").read_text().splitlines():
        if re.match(r"\w+=", line):
            name, value = line.split("=", 1)
            environment[name] = value
        elif line and not line.startswith("#"):
            job = line
    fields = job.split(None, 5)
    # An unescaped `%` would end the command, and `\%` stands for one.
    client.verdict.same("each % of the line is escaped", [], re.findall(r"(?<!\\)%", fields[5]))
    command = fields[5].replace("\\%", "%")
    rows = {name: {} for name in NAMES}

    def read() -> int:
        before = set(home.glob("cart/rows/*.jsonl"))
        run = subprocess.run([environment["SHELL"], "-c", command], env=environment, cwd=home, stdin=subprocess.DEVNULL)
        client.verdict.same("exit code of the line", 0, run.returncode)
        brought = 0
        for new in set(home.glob("cart/rows/*.jsonl")) - before:
            # `orders.jsonl`, `orders.run0002.jsonl`
            name = new.name.split(".")[0]
            for line in new.read_text().splitlines():
                brought += 1
                row = json.loads(line, parse_float=Decimal)
                rows[name][json.dumps(row[client.key(name)])] = row
        return brought

    def table(name: str) -> tuple:
        found = list(rows[name].values())
        return found, {column for row in found for column in row} | set(client.properties(name))

    client.three_reads(NAMES, read, table, Form())
    (order,) = [row for row in rows["orders"].values() if row["id"] == client.changed_order]
    client.verdict.same("the undeclared field is in the row", NOTE[1], order.get(NOTE[0]))
    mode = (home / "cart" / "config.json").stat().st_mode & 0o777
    client.verdict.same("only the owner reads the config", "0o600", oct(mode))
    return client.close()


if __name__ == "__main__":
    sys.exit(main())
