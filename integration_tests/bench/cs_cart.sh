#!/usr/bin/env bash
# Compares source-cs-cart with dlt's rest_api source and a bare download, prints the tables and writes
# docs/development/performance-cs-cart.md. Needs cargo, python3 (3.10 or newer) with venv and pip, and curl.
# Options: --help.
set -euo pipefail
cd "$(dirname "$0")/../.."

for tool in cargo python3 curl; do
  command -v "$tool" >/dev/null || { echo "cs_cart.sh: $tool is missing" >&2; exit 2; }
done
case " $* " in
  *" --help "* | *" -h "*) exec python3 -B integration_tests/bench/cs_cart.py --help ;;
esac

executable=$(release/executable source-cs-cart)
cargo build --locked --release --quiet -p bench --bin bench-cs-cart-store
target=${CARGO_TARGET_DIR:-target}

# The version of the example, which is the one that .ci/clients tests.
requirements=examples/dlt/requirements.txt
venv="$target/bench/dlt"
if ! cmp --silent "$requirements" "$venv/requirements.txt"; then
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
  cp "$requirements" "$venv/requirements.txt"
fi
exec "$venv/bin/python" -B integration_tests/bench/cs_cart.py \
  --ours "$executable" --store "$target/release/bench-cs-cart-store" "$@"
