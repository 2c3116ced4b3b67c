#!/usr/bin/env bash
# Says which tests of a build's last run were skipped, and why: CTest counts them as passed.
#   tests/tools/skipped.sh build/release
set -euo pipefail
log="$1/Testing/Temporary/LastTest.log"
[ -f "$log" ] || exit 0
# A line for each skipped test, or one with its count. GoogleTest names a skipped test behind its reason; pytest says
# "SKIPPED [2] file:line: reason"; other programs print a line that begins with "skipped:".
reasons=$(
  { grep -B1 -E '^\[  SKIPPED \] [^ ]+ \(|^skipped: ' "$log" | grep -vE '^(\[|--)' | sort | uniq -c; } || true
  sed -nE 's/^SKIPPED \[([0-9]+)\] [^ ]+: (.*)/\1 \2/p' "$log"
)
[ -n "$reasons" ] || exit 0
echo "NOTE: $(awk '{ count += $1 } END { print count }' <<<"$reasons") tests were skipped:"
awk '{ $1 = sprintf("%5d", $1); print }' <<<"$reasons"
