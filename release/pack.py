"""Packs files into a tar archive that has the same bytes whenever and wherever it is made.

    pack.py ARCHIVE FOLDER PATH...

Each PATH, with what is below it, goes into FOLDER of the archive; an empty FOLDER is none. All of them get the date
SOURCE_DATE_EPOCH and belong to root. An ARCHIVE whose name ends with .gz is compressed.
"""

import gzip
import io
import os
import sys
import tarfile
from pathlib import Path


def main() -> None:
    archive, folder, *paths = sys.argv[1:]
    date = int(os.environ["SOURCE_DATE_EPOCH"])
    entries = []
    for given in map(Path, paths):
        below = sorted(given.rglob("*")) if given.is_dir() else []
        entries += [(path, Path(folder) / path.relative_to(given.parent)) for path in (given, *below)]
    entries.sort(key=lambda entry: entry[1].as_posix())

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, name in entries:
            entry = tarfile.TarInfo(name.as_posix())
            entry.mtime = date
            entry.uname = entry.gname = "root"
            if path.is_dir():
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
                continue
            content = path.read_bytes()
            # Windows has no such bit; nothing else that is packed is executable.
            entry.mode = 0o755 if os.access(path, os.X_OK) and path.stem in ("source-cart", "source-cs-cart") else 0o644
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    content = packed.getvalue()
    if archive.endswith(".gz"):
        content = gzip.compress(content, 9, mtime=0)
    Path(archive).write_bytes(content)


if __name__ == "__main__":
    main()
