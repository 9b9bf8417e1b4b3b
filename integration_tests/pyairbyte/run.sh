#!/bin/sh
# Rows in a database: PyAirbyte runs the release binary against the sample store, into DuckDB (see check.py).
#
#   integration_tests/pyairbyte/run.sh
#
# It needs cargo or executables that are built already, and a Python that PyAirbyte supports (3.10 to 3.12). PYTHON
# names one, CARGO_TARGET_DIR another target folder. Everything else goes to a temporary folder and is removed.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../.." && pwd)
cd "$root"

target=${CARGO_TARGET_DIR:-$root/target}
case $target in
    /*) ;;
    *) target=$root/$target ;;
esac
if command -v cargo >/dev/null; then
    # Two builds: in one, the binary would share the features that only the store needs.
    cargo build --release --quiet --bin source-cart
    cargo build --release --quiet --example store
fi
for file in "$target/release/source-cart" "$target/release/examples/store"; do
    [ -x "$file" ] || { echo "$file is missing, and there is no cargo to build it." >&2; exit 1; }
done

python=
for candidate in ${PYTHON:-python3 python3.12 python3.11 python3.10}; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || { echo "PyAirbyte needs Python 3.10, 3.11 or 3.12; name one in PYTHON." >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

if ! "$python" -m venv "$work/venv" 2>"$work/venv.log"; then
    # Debian and Ubuntu keep the module in a package of its own.
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    { $sudo apt-get update -qq && $sudo apt-get install -y -qq python3-venv; } >&2 || true
    rm -rf "$work/venv"
    "$python" -m venv "$work/venv" || { cat "$work/venv.log" >&2; exit 1; }
fi
echo "Installing PyAirbyte (some minutes) ..." >&2
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"

"$work/venv/bin/python" "$here/check.py" --source "$target/release/source-cart" \
    --store "$target/release/examples/store" --work "$work"
