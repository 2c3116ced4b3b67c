#!/usr/bin/env bash
# Everything that needs an NVIDIA GPU, in one call, over a build of the preset cuda (or copies of its programs): the contract
# suite, compute-sanitizer over it, greedy goldens, text against the CPU's, and timings beside the device's copy bandwidth.
#   tests/gpu/run.sh OUT.json [build/cuda]
# OUT.json gets the results; store it as bench/results/gpu-<device>-<commit>.json.
# GPU_MODEL   SmolLM2-135M Q4_1; default: the cache (`bessemer pull smollm2`). Without it that part is left out, and said so.
# GPU_COMMIT  what to note as commit; default: git's
# GPU_FILTER  only timings whose name contains this
set -euo pipefail
out=$(realpath -m "$1")
cd "$(dirname "$0")/../.."
build=$(realpath "${2:-build/cuda}")
model=${GPU_MODEL:-${BESSEMER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bessemer}/models/SmolLM2-135M-Instruct.Q4_1.gguf}
commit=${GPU_COMMIT:-$(git rev-parse --short HEAD)$(git diff --quiet HEAD -- || echo -dirty)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=()
part() {
  local name=$1
  shift
  echo "== $name"
  "$@" || { failed+=("$name"); echo "FAILED: $name"; }
}
# A suite that finds no device skips its tests, and that is no success here.
on_device() {
  "$@" --gtest_brief=1 | tee "$work/log"
  ! grep -q SKIPPED "$work/log" && grep -qE 'PASSED  \] [1-9]' "$work/log"
}

part "contract suite" on_device "$build/bin/backend_contract_test" --gtest_filter='*/cuda:Subjects.*'
for tool in memcheck racecheck; do
  if command -v compute-sanitizer >/dev/null; then
    part "$tool" on_device compute-sanitizer --error-exitcode 1 --tool "$tool" "$build/bin/backend_contract_test" --gtest_filter='*/cuda'
  else
    echo "== $tool: left out, compute-sanitizer is not there"
  fi
done
part "greedy goldens of stories260K" on_device "$build/bin/same_tokens_test" --gtest_filter='*OnADevice*'
if [ -f "$model" ]; then
  part "SmolLM2 against reference and cpu" python3 tests/gpu/golden.py --build "$build" --model "$model" --out "$work/golden.json"
else
  echo "== SmolLM2: left out, $model is not there"
fi
part "timings" "$build/bin/bench_gpu" --filter "${GPU_FILTER:-}" --json "$work/timings.json" --commit "$commit"

[ -f "$work/golden.json" ] || echo null >"$work/golden.json"
[ -f "$work/timings.json" ] || echo null >"$work/timings.json"
mkdir -p "$(dirname "$out")"
printf '{"commit": "%s", "failed": "%s", "golden": %s, "timings": %s}\n' "$commit" "${failed[*]-}" \
  "$(cat "$work/golden.json")" "$(cat "$work/timings.json")" >"$out"
echo "results: $out"
[ ${#failed[@]} -eq 0 ] || { echo "FAILED: ${failed[*]}"; exit 1; }
