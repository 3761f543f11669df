#!/bin/bash
# Fuzzes the readers of files under the address and undefined-behaviour sanitizers.
#   scripts/fuzz_files.sh [MINUTES] [FORMAT...]
# FORMAT: zip, legacy, tar, safetensors, npy, npz with libFuzzer (tests/fuzz/formats.c, needs clang); lua changes files at
# random and loads them through the Lua libraries (tests/fuzz/files.lua). Without a FORMAT each is run for that time.
# Seeds are tests/fuzz/corpus (the archives there hold inputs that earlier runs found, each reaching code that the others do
# not), tests/golden and the hostile checkpoints of the specs; what is found on the way is kept in build-fuzz/FORMAT and used
# again. The last line is "N passed, N failed", of formats; a finding's input stays in
# build-fuzz/findings.
set -uo pipefail
cd "$(dirname "$0")/.."
source scripts/parts.sh

minutes=${1:-10}
shift
formats=("$@")
[ ${#formats[@]} -gt 0 ] || formats=(zip legacy tar safetensors npy npz lua)
folder=build-fuzz
findings=$folder/findings
mkdir -p "$folder/objects" "$findings"

export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1

# Only the readers and what they stand on; tests/fuzz/formats.c has the rest.
build_target() {
  local clang=${CLANG:-clang} file object objects=() flags
  command -v "$clang" >/dev/null || stop "$clang is not installed (Debian package clang)"
  flags=(-std=gnu11 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
         -DLP_NO_CACHE -Itensor -Itensor/include -I"$folder/gen" -Itests/fuzz -w)
  mkdir -p "$folder/gen/lampad"
  lua5.4 scripts/gen/main.lua . "$folder/gen" tensor/ops/*.lua nn/ops/*.lua || stop "the generator failed"
  for file in tensor/io/*.c tensor/core/*.c tests/fuzz/{formats,mutate}.c; do
    object=$folder/objects/$(basename "$file").o
    objects+=("$object")
    [ -f "$object" ] && [ -z "$(find tensor/io tensor/core tensor/include tests/fuzz -name '*.[ch]' -newer "$object")" ] &&
      continue
    "$clang" "${flags[@]}" -fsanitize=fuzzer-no-link -c "$file" -o "$object" || stop "compiling $file failed"
  done
  # An archive: of what is not needed nothing is linked.
  rm -f "$folder/formats.a"
  ar rc "$folder/formats.a" "${objects[@]}"
  "$clang" -fsanitize=fuzzer,address,undefined "$folder/objects/formats.c.o" "$folder/formats.a" -lz -ljansson -lm \
    -lpthread -o "$folder/formats" || stop "linking the target failed"
}

# The seeds of a format, one file each.
seeds() {
  local format=$1 to=$2 name
  mkdir -p "$to"
  cp tests/fuzz/corpus/"$format"/* "$to" 2>/dev/null
  [ ! -f "tests/fuzz/corpus/$format.tar.xz" ] || tar -xJf "tests/fuzz/corpus/$format.tar.xz" -C "$to"
  case $format in
    zip|legacy|tar) # told apart by the first bytes
      for name in tests/golden/checkpoints/*.pt "$folder"/hostile/*; do
        [ -f "$name" ] || continue
        case $(head -c 2 "$name" | od -An -tx1) in
          *"50 4b"*) [ "$format" = zip ] && cp "$name" "$to" ;;
          *"80 "*) [ "$format" = legacy ] && cp "$name" "$to" ;;
          *) [ "$format" = tar ] && cp "$name" "$to" ;;
        esac
      done ;;
    *) cp tests/golden/files/*."$format" "$to" 2>/dev/null ;;
  esac
  # What takes long to read teaches little.
  find "$to" -type f -size +12k -delete
}

fuzz_format() {
  local format=$1 log=$folder/$format.log
  seeds "$format" "$folder/$format.seeds"
  mkdir -p "$folder/$format"
  FUZZ_FORMAT=$format "$folder/formats" -max_total_time=$((minutes * 60 + 1)) -max_len=65536 -rss_limit_mb=4096 \
    -timeout=20 -reload=0 -print_final_stats=1 -dict=tests/fuzz/formats.dict -artifact_prefix="$findings/$format-" \
    "$folder/$format" "$folder/$format.seeds" >"$log" 2>&1
  local status=$?
  grep -aE '^stat::(number_of_executed_units|average_exec_per_sec|peak_rss_mb)|DONE|ERROR|finding:|runtime error' "$log" |
    cut -c1-300
  if [ "$status" = 0 ]; then echo "1 passed, 0 failed"; else echo "0 passed, 1 failed"; fi
  return "$status"
}

fuzz_lua() {
  source scripts/build.sh
  local asan=${LAMPAD_ASAN_BUILD:-build-asan}
  build asan "$asan" lampad || stop "the build failed"
  LSAN_OPTIONS=suppressions=$PWD/scripts/leaks.txt:print_suppressions=0 \
    "$asan/lampad" tests/fuzz/files.lua all $((minutes * 60))
}

for format in "${formats[@]}"; do
  if [ "$format" = lua ]; then
    part "files through Lua" fuzz_lua
  else
    [ -n "${built:-}" ] || { build_target; built=1; }
    if [ ! -d "$folder/hostile" ] && [ -x build/lampad ]; then
      mkdir "$folder/hostile"
      build/lampad tests/lua/hostile_checkpoints.lua "$folder/hostile"
    fi
    part "fuzzing $format" fuzz_format "$format"
  fi
done
summary
