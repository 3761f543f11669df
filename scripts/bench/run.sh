#!/bin/bash
# Measures: everything runs on the release build in build/, which is built first.
#   scripts/bench/run.sh [ARGS]              Lampad beside PyTorch, into docs/performance.md (run.py tells the arguments)
#   scripts/bench/run.sh compare OLD [NEW]   two builds' times: fails when the new one is slower (compare.lua)
#   scripts/bench/run.sh count [OLD] [NEW]   instructions of small ops under valgrind (count.lua)
set -euo pipefail
cd "$(dirname "$0")/../.."
source scripts/apt.sh
source scripts/build.sh
case ${1:-} in
  compare) build release build lampad; exec lua5.4 scripts/bench/compare.lua "${@:2}" ;;
  count)   install_packages bench; build release build lampad; exec lua5.4 scripts/bench/count.lua "${@:2}" ;;
  *)       build release build lampad; exec python3 scripts/bench/run.py "$@" ;;
esac
