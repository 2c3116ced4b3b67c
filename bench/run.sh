#!/usr/bin/env bash
# Runs benchmarks of a build and stores the results, with commit and machine, in bench/results.
#   bench/run.sh build/release                      everything (about 40 minutes, and once 20 minutes to build the peer)
#   bench/run.sh build/release serve                one part: micro, engine, router, routers, sim, serve, cluster, plot; several: serve plot
#   BENCH_ROWS='c1 start' BENCH_REPEATS=1 bench/run.sh build/release serve    two rows of it, once
# BENCH_MODEL  a GGUF file, and BENCH_TAG, which names it in the results (no '-' or '.' in it); default: SmolLM2-135M Q4_1 from
#              the cache, without a tag (`bessemer pull smollm2` fetches it)
# BENCH_COMMIT what to note as commit; default: git's
# BENCH_TRACES the folder of mooncake_synthetic.jsonl, for sim; default: ../shared/data/traces
# BENCH_PEER   a shell command that starts the peer, with {port}; "none": ours alone; default: llama.cpp (bench/peer_llama.sh)
set -euo pipefail
build=$1
shift
parts=${*:-micro engine router routers sim serve cluster plot}
cd "$(dirname "$0")/.."
die() { echo "bench: $*" >&2; exit 1; }

commit=${BENCH_COMMIT:-$(git rev-parse --short HEAD)$(git diff --quiet HEAD -- . ':!bench/results' || echo -dirty)}
cpu=$(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2- | tr -s ' ' '-' | tr -cd 'A-Za-z0-9-' | sed 's/^-//')
mkdir -p bench/results
out() { echo "bench/results/$1-$cpu-$commit.json"; }

micro() {
  echo "== kernels against the roofline (about a minute)"
  "$build/bin/bench_micro" --json "$(out micro)"
}

engine() {
  echo "== what scheduling and sampling cost the host"
  "$build/bin/bench_engine" --benchmark_out="$(out engine)" --benchmark_out_format=json
}

router() {
  echo "== what the router adds"
  "$build/bin/bench_routing" --benchmark_out="$(out decision)" --benchmark_out_format=json
  "$build/bin/bessemer_router_overhead" --out "$(out router_overhead)" --commit "$commit"
}

# Beside routers of other projects.
routers() {
  echo "== the router beside others (about ten minutes)"
  local list line peers=()
  if [ "${BENCH_PEER:-}" != none ]; then
    list=$(bench/peer_routers.sh)
    while read -r line; do peers+=(--peer "$line"); done <<<"$list"
  fi
  "$build/bin/bessemer_router_compare" --ours "$build/bessemer router --port {port} --workers {worker} --log-level error" \
    "${peers[@]}" --repeats "${BENCH_REPEATS:-3}" --out "$(out router_compare)" --commit "$commit"
}

# Virtual time: the same on every machine, so no processor is in the names.
sim() {
  local trace=${BENCH_TRACES:-../shared/data/traces}/mooncake_synthetic.jsonl name flags
  [ -f "$trace" ] || die "no trace at $trace. Remedy: BENCH_TRACES=folder with Mooncake's published traces"
  while read -r name flags; do
    echo "== routing policies, $name"
    # shellcheck disable=SC2086
    "$build/bin/routing_sim" --commit "$commit" --out "bench/results/routing_sim-$name-$commit.json" ${flags/TRACE/$trace}
  done <<'ROWS'
trace --trace TRACE --speed 1,1.4
chats --conversations 1500 --rate 5 --blocks 256,1024
overload --trace TRACE --speed 3 --admission
ROWS
}

# The rows of design/TARGETS.md that concern a server. Names that begin alike would share a file: keep them different.
serve_rows() {
  cat <<'ROWS'
prefill --requests 4 --concurrency 1 --input 512 --output 1
c1 --requests 4 --concurrency 1 --input 200 --output 128
c4 --requests 12 --concurrency 4 --input 200 --output 128
c16 --requests 32 --concurrency 16 --input 200 --output 128
c32 --requests 64 --concurrency 32 --input 200 --output 128
busy --requests 2 --concurrency 1 --input 200 --output 128 --busy CORES
prefix --workload shared-prefix --requests 16 --concurrency 16 --prefix 1500 --input 1532 --output 16
long --workload long-prompt --requests 1 --input 100 --output 400 --long 7900
start --workload start
ROWS
}

bench_model() {
  local model=${BENCH_MODEL:-${BESSEMER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bessemer}/models/SmolLM2-135M-Instruct.Q4_1.gguf}
  [ -f "$model" ] || die "no model at $model. Remedy: $build/bessemer pull smollm2, or BENCH_MODEL=file.gguf"
  echo "${model/#$HOME\//\~/}"  # as a shell reads it: results name no home
}

serve() {
  local model bin=
  model=$(bench_model)
  if [ -z "${BENCH_PEER:-}" ]; then
    bin=$(bench/peer_llama.sh)
    bin=${bin/#$HOME\//\~/}
  fi
  local context wanted=" ${BENCH_ROWS:-prefill c1 c4 c16 c32 busy prefix long start} " name flags peer slots
  while read -r name flags; do
    [[ $wanted == *" $name "* ]] || continue
    flags=${flags/CORES/$(nproc)}
    # The peer gets all cores, as ours does, and a slot for each client with room for the longest prompt.
    slots=1 context=2048
    [[ $flags =~ --concurrency\ ([0-9]+) ]] && slots=${BASH_REMATCH[1]}
    if [[ $flags =~ --long\  ]]; then slots=2 context=8192; fi
    peer="$bin/llama-server --model $model --port {port} --threads $(nproc) --parallel $slots --ctx-size $((slots * context)) --no-webui"
    [ -n "$bin" ] || peer=$BENCH_PEER
    local vs=(--vs-exec "$peer")
    if [ "$peer" = none ]; then vs=(); fi
    echo "== serve, $name: $flags"
    # shellcheck disable=SC2086
    "$build/bin/bessemer_bench_serve" --exec "$build/bessemer serve --model $model --workers 1 --port {port}" "${vs[@]}" \
      --repeats "${BENCH_REPEATS:-5}" --commit "$commit" --json "$(out "serve-${BENCH_TAG:+$BENCH_TAG.}$name")" $flags
  done < <(serve_rows)
  echo "== against the targets"
  python3 bench/targets.py bench/results --cpu "$cpu" --commit "$commit"
}

# Real processes: two workers on each core, the default policy against taking turns. What they compute of the prompts is the verdict.
cluster() {
  local model name flags serve
  model=$(bench_model)
  serve="$build/bessemer serve --model $model --workers $((2 * $(nproc))) --port {port} --router.policy"
  while read -r name flags; do
    echo "== cluster, $name: $flags"
    # shellcheck disable=SC2086
    "$build/bin/bessemer_bench_serve" --exec "$serve cache_aware" --vs-exec "$serve round_robin" --repeats "${BENCH_REPEATS:-3}" \
      --commit "$commit" --json "$(out "cluster-$name")" $flags
  done <<'ROWS'
turns --workload turns --turns 4 --requests 12 --concurrency 6 --input 150 --output 16
shared --workload shared-prefix --requests 16 --concurrency 8 --prefix 600 --input 640 --output 16
ROWS
}

plot() {
  echo "== pictures"
  deploy/setup/python.sh
  build/venv/bin/python -m pip install --quiet --disable-pip-version-check -r bench/requirements.txt ||
    die "pip could not install bench/requirements.txt; is PyPI reachable from here?"
  build/venv/bin/python bench/plot.py bench/results --cpu "$cpu" --commit "$commit"
}

for part in $parts; do
  case $part in
    micro | engine | router | routers | sim | serve | cluster | plot) "$part" ;;
    *) die "no part '$part' (have: micro engine router routers sim serve cluster plot)" ;;
  esac
done
