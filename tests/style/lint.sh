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
git ls-files '*.cpp' | grep -vE '^(tests|bench|kernels/cpu/avx512|kernels/cpu/amx)/' |
  xargs -P "$(nproc)" -n 4 clang-tidy-19 -p "$build" --quiet --warnings-as-errors='*' 2>/dev/null
