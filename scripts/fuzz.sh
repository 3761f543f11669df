#!/bin/bash
# Fuzzes every op under the address, undefined-behaviour and leak sanitizers (tests/fuzz/ops.lua): random
# arguments, shapes, dtypes, layouts, aliases, failing allocations. The last line is "N passed, N failed"
# (calls without and with a finding; a crash, a leak or a hang is one failure).
#   scripts/fuzz.sh [MINUTES] [FIRST_SEED]
set -uo pipefail
cd "$(dirname "$0")/.."
source scripts/apt.sh
source scripts/build.sh
source scripts/parts.sh

minutes=${1:-10}
seed=${2:-$(($(date +%s) % 1000000))}
folder=${LAMPAD_ASAN_BUILD:-build-asan}
ROUND_SECONDS=60 # of one process: the leak sanitizer looks at its end

install_packages test || stop "packages are missing"
build asan "$folder" lampad || stop "the build failed"

export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1
ASAN_OPTIONS+=:allocator_may_return_null=1:max_allocation_size_mb=4000:handle_abort=1
export UBSAN_OPTIONS=print_stacktrace=1
export LSAN_OPTIONS=suppressions=$PWD/scripts/leaks.txt:print_suppressions=0
export LAMPAD_BUILD=$folder

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
deadline=$((SECONDS + minutes * 60))
steps_passed=0 steps_failed=0
while [ "$SECONDS" -lt "$deadline" ]; do
  left=$((deadline - SECONDS))
  round=$((left < ROUND_SECONDS ? left : ROUND_SECONDS))
  # A call that does not come back is stopped by a signal that shows where it is.
  timeout -s ABRT -k 30 $((round + 150)) "$folder/lampad" tests/fuzz/ops.lua --seed "$seed" --seconds "$round" \
    --log "$logs/step" >"$logs/out" 2>&1
  status=$?
  line=$(grep -aE '^[0-9]+ passed, [0-9]+ failed' "$logs/out" | tail -n 1)
  round_passed=0 round_failed=0
  if [ -n "$line" ]; then
    round_passed=${line%% passed*}
    round_failed=${line#* passed, }
    round_failed=${round_failed%% failed*}
  fi
  if [ "$round_failed" = 0 ] && { [ -z "$line" ] || [ "$status" != 0 ]; }; then
    round_failed=1
    echo "seed $seed: exit status $status, at $(sed '/^$/q' "$logs/step")"
    echo "  replay: LAMPAD_BUILD=$folder $folder/lampad tests/fuzz/ops.lua --seed $seed --step K"
  fi
  [ "$round_failed" = 0 ] || cut -c1-500 "$logs/out"
  steps_passed=$((steps_passed + round_passed))
  steps_failed=$((steps_failed + round_failed))
  seed=$((seed + 1))
done
echo "$steps_passed passed, $steps_failed failed"
[ "$steps_failed" = 0 ] && [ "$steps_passed" -gt 0 ]
