# build PRESET FOLDER TARGET...: configures on first use and compiles. Sourced by the other scripts.
# Prints the compiler's output only when something fails or the build takes a person's time.

# Memory, not only cores, limits the jobs: about 1 GB for each.
build_jobs() {
  local cores kilobytes jobs
  cores=$(nproc)
  kilobytes=$(awk '/MemAvailable/ {print $2}' /proc/meminfo)
  jobs=$((kilobytes / 1000000))
  [ "$jobs" -lt 1 ] && jobs=1
  [ "$jobs" -gt "$cores" ] && jobs=$cores
  echo "$jobs"
}

build() {
  local preset=$1 folder=$2 log
  shift 2
  log=$(mktemp)
  if [ ! -f "$folder/build.ninja" ] ||
     ! grep -q "^LAMPAD_PRESET:STRING=$preset\$" "$folder/CMakeCache.txt"; then
    if ! cmake -B "$folder" -G Ninja -DLAMPAD_PRESET="$preset" . >"$log" 2>&1; then
      cat "$log" >&2
      rm -f "$log"
      echo "error: configuring the build in $folder failed" >&2
      return 1
    fi
  fi
  rm -f "$log"
  echo "Building ($preset) in $folder ..."
  if ! ninja -C "$folder" -j "${LAMPAD_JOBS:-$(build_jobs)}" --quiet "$@"; then
    echo "error: the build in $folder failed (above)" >&2
    return 1
  fi
}
