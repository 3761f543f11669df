#!/bin/bash
# Measures Lampad beside PyTorch and writes the table into docs/performance.md. See run.py for the options.
# LAMPAD_BENCH_PYTHON names the Python that has PyTorch (default python3).
set -euo pipefail
cd "$(dirname "$0")/../.."
source scripts/build.sh
build release build lampad
exec python3 scripts/bench/run.py "$@"
