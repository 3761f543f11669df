#!/bin/bash
# Runs every test: lint, C unit tests, op tests, PyTorch's op and module samples, a short run of the fuzzer, the
# corpus of the file fuzzer, specs (with the examples of docs/). Installs what is missing and builds first. A part that
# fails does not stop the rest. The last line is "N passed, N failed"; the exit status is 0 only when something passed and
# nothing failed.
#   scripts/test.sh [BUILD_FOLDER]
set -uo pipefail
cd "$(dirname "$0")/.."
source scripts/apt.sh
source scripts/build.sh
source scripts/parts.sh

folder=${1:-build}
install_packages test || stop "packages are missing"
build release "$folder" all || stop "the build failed"
export LAMPAD_BUILD=$folder

part "lint" lua5.4 scripts/lint.lua
part "C tests" "$folder/lampad_ctest"
part "op tests" "$folder/lampad" tests/ops/run.lua
part "op samples" "$folder/lampad" tests/opinfo/run.lua
part "module samples" "$folder/lampad" tests/modules/run.lua
part "fuzzing" "$folder/lampad" tests/fuzz/ops.lua --seed 1 --steps 3000
part "files of the fuzzer" bash tests/fuzz/replay.sh "$folder/lampad_fuzz_replay"
part "vmap over ops" "$folder/lampad" tests/ops/vmap.lua
part "specs" "$folder/lampad" tests/lua/run.lua
summary
