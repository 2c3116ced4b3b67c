#!/usr/bin/env bash
# Says which tests of a build's last run were skipped, and why: CTest counts them as passed.
#   tests/tools/skipped.sh build/release
set -euo pipefail
log="$1/Testing/Temporary/LastTest.log"
[ -f "$log" ] || exit 0
# GoogleTest names a skipped test behind its reason; other programs print a line that begins with "skipped:".
reasons=$(grep -B1 -E '^\[  SKIPPED \] [^ ]+ \(|^skipped: ' "$log" | grep -vE '^(\[|--)' | sort | uniq -c || true)
count=$(grep -cE '^\[  SKIPPED \] [^ ]+ \(|^skipped: ' "$log" || true)
[ "$count" -gt 0 ] || exit 0
echo "NOTE: $count tests were skipped:"
echo "$reasons"
