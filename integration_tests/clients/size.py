"""Prints the size on disk of the packages of a requirements file with their dependencies: size.py FILE NAME

Fails if docs/clients.md says something else: in its row the size may be off by a third, since newer releases of what is
needed come and go.
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from pip._vendor.packaging.requirements import Requirement

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "clients.md"


def needed(requirement: Requirement, found: dict) -> None:
    """Collects a package and its dependencies, with the requested extras."""
    name, extras = requirement.name.lower().replace("_", "-"), frozenset(requirement.extras)
    if (name, extras) in found:
        return
    try:
        package = distribution(name)
    except PackageNotFoundError:
        # Not for this machine, or of an extra that was not requested.
        return
    found[name, extras] = package
    for text in package.requires or []:
        inner = Requirement(text)
        if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            needed(inner, found)


def main() -> int:
    file, name = sys.argv[1:]
    found: dict = {}
    for line in Path(file).read_text().splitlines():
        if line and not line.startswith("#"):
            needed(Requirement(line), found)
    packages = {package.metadata["Name"]: package for package in found.values()}
    files = {path.locate() for package in packages.values() for path in package.files or []}
    megabytes = round(sum(path.stat().st_size for path in files if path.exists()) / 1e6)
    print(f"{name}: {len(packages)} packages, {megabytes} MB")
    said = [int(size) for size in re.findall(rf"^\| {name}\b.*?\| (\d+) MB", DOCUMENT.read_text(), re.MULTILINE)]
    if not said or any(abs(size - megabytes) > size / 3 for size in said):
        print(f"{name}: docs/clients.md says {said} MB", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
