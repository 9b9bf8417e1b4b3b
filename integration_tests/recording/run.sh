#!/bin/sh
# Records a run on a terminal and draws it as docs/development/recording.svg. Needs cargo and python3 with venv and pip.
set -eu
cd "$(dirname "$0")/../.."

cargo build --locked --release --quiet -p source-cart
cargo build --locked --release --quiet -p fake-store --features tls
target=${CARGO_TARGET_DIR:-target}
venv="$target/recording/venv"
if ! "$venv/bin/python" -c 'import pyte' 2>/dev/null; then
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check pyte==0.8.2
fi
exec "$venv/bin/python" integration_tests/recording/record.py \
  --source "$target/release/source-cart" --store "$target/release/store" --out docs/development/recording.svg
