#!/usr/bin/env bash
# Runs the benchmarks against the published Python connector and a bare download, prints the table and writes
# docs/development/performance.md. Needs cargo, python3 with venv and pip, and curl. Options: --help.
set -euo pipefail
cd "$(dirname "$0")/../.."

for tool in cargo python3 curl; do
  command -v "$tool" >/dev/null || { echo "run.sh: $tool is missing" >&2; exit 2; }
done
case " $* " in
  *" --help "* | *" -h "*) exec python3 -B integration_tests/bench/bench.py --help ;;
esac

executable=$(release/executable)
cargo build --locked --release --quiet -p bench --bin bench-store
target=${CARGO_TARGET_DIR:-target}

venv="$target/bench/venv"
if ! "$venv/bin/source-cart" spec >/dev/null 2>&1; then
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check airbyte-source-cart==0.3.58
fi
exec python3 -B integration_tests/bench/bench.py \
  --ours "$executable" --python "$venv/bin/source-cart" \
  --store "$target/release/bench-store" "$@"
