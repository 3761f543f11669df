#!/bin/bash
# Times recurrent nets of Lampad and of PyTorch (rnn.tsv), the two taking turns, and prints a table: the best of three
# rounds of each.   LAMPAD_BENCH_PYTHON=/path/to/python scripts/bench/rnn.sh [PATTERN] [--threads N]
set -euo pipefail
cd "$(dirname "$0")/../.."
source scripts/build.sh
build release build lampad
python=${LAMPAD_BENCH_PYTHON:-python3}
times=$(mktemp)
trap 'rm -f "$times"' EXIT
for _ in 1 2 3; do
  build/lampad scripts/bench/rnn.lua "$@" | sed 's/^/lampad\t/' >> "$times"
  "$python" scripts/bench/rnn.py "$@" | sed 's/^/torch\t/' >> "$times"
done
awk -F'\t' '
  function least(a, b) { return a == "" || b + 0 < a + 0 ? b : a }
  !($2 in seen) { seen[$2] = 1; order[++n] = $2 }
  { forward[$1, $2] = least(forward[$1, $2], $3); step[$1, $2] = least(step[$1, $2], $4) }
  function cell(a, b) { return sprintf("%.3g / %.3g = %.2f", a, b, a / b) }
  END {
    print "| | forward | training step |"
    print "|---|---|---|"
    for (i = 1; i <= n; i++)
      print "| " order[i] " | " cell(forward["lampad", order[i]], forward["torch", order[i]]) " | " \
        cell(step["lampad", order[i]], step["torch", order[i]]) " |"
  }' "$times"
