#!/usr/bin/env bash
# Formatting, include directions and clang-tidy over a configured build.
#   tests/style/lint.sh build/release
set -euo pipefail
build=$1
cd "$(dirname "$0")/../.."
tests/style/check_format.sh
python3 tests/style/check_arrows.py
# The generated protobuf headers must exist before files can be read.
cmake --build "$build" --target bessemer_grpc >/dev/null
echo "clang-tidy (a few minutes)"
skipped='^(tests|bench|kernels/cpu/avx512|kernels/cpu/amx)/'
# The CUDA plug-in is read where the build has it.
grep -q worker/backend/cuda/ "$build/compile_commands.json" || skipped="$skipped|^worker/backend/cuda/"
git ls-files '*.cpp' | grep -vE "$skipped" |
  xargs -P "$(nproc)" -n 4 clang-tidy-19 -p "$build" --quiet --warnings-as-errors='*' 2>/dev/null
