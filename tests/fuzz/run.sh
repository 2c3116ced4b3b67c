#!/usr/bin/env bash
# Runs every fuzzer of a build, or those named, for SECONDS each, from the seeds in tests/fuzz/seeds/<fuzzer>; a finding stops
# it and its input stays in BUILD/findings.
#   tests/fuzz/run.sh build/asan 60
#   tests/fuzz/run.sh build/asan 60 gguf_fuzzer
set -euo pipefail
build=$1
seconds=$2
shift 2
root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$build/findings"
shopt -s nullglob
fuzzers=("$build"/bin/*_fuzzer)
[ $# -eq 0 ] || fuzzers=("${@/#/$build/bin/}")
[ "${#fuzzers[@]}" -gt 0 ] || { echo "no fuzzers in $build/bin; run: make fuzz" >&2; exit 1; }
for fuzzer in "${fuzzers[@]}"; do
  name=$(basename "$fuzzer")
  corpus="$build/corpus/$name"
  mkdir -p "$corpus"
  seeds=()
  [ -d "$root/tests/fuzz/seeds/$name" ] && seeds=("$root/tests/fuzz/seeds/$name")
  echo "== $name, $seconds s"
  "$fuzzer" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=512 -print_final_stats=1 \
    -artifact_prefix="$build/findings/$name-" "$corpus" "${seeds[@]}" >"$build/$name.log" 2>&1 ||
    { tail -n 40 "$build/$name.log" >&2; echo "$name: a finding, input in $build/findings" >&2; exit 1; }
  grep -E 'number_of_executed_units|new_units_added' "$build/$name.log" | sed 's/^stat::/  /'
done
echo "${#fuzzers[@]} fuzzers, no finding"
