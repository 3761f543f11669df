# Runs the parts of a test command and adds up what they report. Sourced by test.sh and sanitize.sh.

passed=0 failed=0
broken=()   # names of the parts that failed

# part NAME COMMAND...: runs a command whose output holds a line "N passed, N failed" (the last one
# counts). No such line, no test at all, a sanitizer's report or a bad exit status without a counted
# failure is one failure.
part() {
  local name=$1 started=$SECONDS status line trouble="" part_passed=0 part_failed=0 log
  shift
  log=$(mktemp)
  echo "== $name"
  "$@" </dev/null 2>&1 | tee "$log"
  status=${PIPESTATUS[0]}
  line=$(grep -aE '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
  if [ -n "$line" ]; then
    part_passed=${line%% passed*}
    part_failed=${line#* passed, }
    part_failed=${part_failed%% failed*}
  fi
  if [ -z "$line" ]; then trouble="no line 'N passed, N failed'"
  elif [ "$part_passed" = 0 ]; then trouble="no test passed"
  elif grep -aqE 'runtime error:|ERROR: (Address|Leak|Thread)Sanitizer' "$log"; then trouble="a sanitizer's report"
  elif [ "$status" != 0 ]; then trouble="exit status $status"
  fi
  rm -f "$log"
  if [ "$part_failed" = 0 ] && [ -n "$trouble" ]; then
    part_failed=1
    echo "$name: $trouble (exit status $status): counted as one failure"
  fi
  [ "$part_failed" = 0 ] || broken+=("$name")
  passed=$((passed + part_passed))
  failed=$((failed + part_failed))
  echo "-- $name: $part_passed passed, $part_failed failed ($((SECONDS - started)) s)"
}

# The closing lines; true when something passed and nothing failed.
summary() {
  echo
  if [ ${#broken[@]} -gt 0 ]; then
    echo "failed parts:"
    printf '  %s\n' "${broken[@]}"
  fi
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}

# Nothing can be tested: says why and ends the command.
stop() {
  echo "error: $1" >&2
  echo "0 passed, 1 failed"
  exit 1
}
