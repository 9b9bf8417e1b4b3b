"""Takes out of a CycloneDX bill of materials what differs from one run to the next.

    plain_sbom.py FROM ROOT TO

These are its serial number, its date, and the path of the folder, ROOT.
"""

import json
import sys
from pathlib import Path


def main() -> None:
    source, root, target = sys.argv[1:]
    bill = json.loads(Path(source).read_text(encoding="utf-8").replace(root, ""))
    bill.pop("serialNumber", None)
    bill.get("metadata", {}).pop("timestamp", None)
    Path(target).write_text(json.dumps(bill, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
