#!/bin/bash
# Runs the C tests and the op tests under the address, undefined-behaviour and leak sanitizers.
# The last line is "N passed, N failed".   scripts/sanitize.sh [NAME_FILTER]
set -uo pipefail
cd "$(dirname "$0")/.."
source scripts/apt.sh
source scripts/build.sh
source scripts/parts.sh

folder=${LAMPAD_ASAN_BUILD:-build-asan}
install_packages test || stop "packages are missing"
build asan "$folder" lampad_ctest lampad || stop "the build failed"

# OpenMP keeps its worker threads, and oneDNN and readline a few blocks, until the process ends:
# leaks.txt names those libraries, everything else counts.
export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1
export LSAN_OPTIONS=suppressions=$PWD/scripts/leaks.txt:print_suppressions=0
export LAMPAD_BUILD=$folder

part "C tests, sanitized" "$folder/lampad_ctest" "$@"
part "op tests, sanitized" "$folder/lampad" tests/ops/run.lua "$@"
summary
