#!/bin/bash
# Reads the seeds and earlier findings of the file fuzzer (tests/fuzz/corpus) by its target. The last line is
# "N passed, N failed": files, and formats whose reading ended badly.
#   tests/fuzz/replay.sh EXECUTABLE
set -uo pipefail
cd "$(dirname "$0")/corpus"
case $1 in /*) replay=$1 ;; *) replay=$OLDPWD/$1 ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

passed=0 failed=0
for format in zip legacy tar safetensors npy npz; do
  mkdir "$work/$format"
  [ ! -d "$format" ] || cp "$format"/* "$work/$format"
  [ ! -f "$format.tar.xz" ] || tar -xJf "$format.tar.xz" -C "$work/$format"
  mapfile -d '' files < <(find "$work/$format" -type f -print0 | sort -z)
  if FUZZ_FORMAT=$format "$replay" "${files[@]}" >"$work/log" 2>&1; then
    passed=$((passed + ${#files[@]}))
  else
    failed=$((failed + 1))
    tr '\r' '\n' <"$work/log" | tail -n 3
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
