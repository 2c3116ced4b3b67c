#!/usr/bin/env bash
# Runs every benchmark of a build and stores the results with commit and CPU.
#   bench/run.sh build/release
set -euo pipefail
build=$1
cd "$(dirname "$0")/.."
commit=$(git rev-parse --short HEAD)
cpu=$(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2- | tr -s ' ' '-' | tr -cd 'A-Za-z0-9-' | sed 's/^-//')
mkdir -p bench/results
echo "== kernels against the roofline (about a minute)"
"$build/bin/bench_micro" --json "bench/results/micro-$cpu-$commit.json"
echo "== what scheduling and sampling cost the host"
"$build/bin/bench_engine" --benchmark_out="bench/results/engine-$cpu-$commit.json" --benchmark_out_format=json
echo "== what the router adds"
"$build/bin/bessemer_router_overhead" --out "bench/results/router_overhead-$cpu-$commit.json" --commit "$commit"
