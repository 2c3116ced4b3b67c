#!/usr/bin/env bash
# Fails when a source file is not formatted as .clang-format says; remedy: make format.
set -euo pipefail
command -v clang-format-19 >/dev/null || { echo "clang-format-19 is missing; run: deploy/setup/install.sh lint" >&2; exit 1; }
mapfile -t files < <(git ls-files '*.h' '*.cpp' '*.cu' '*.cuh')
[ "${#files[@]}" -gt 0 ] || { echo "no sources found; run this in a git checkout" >&2; exit 1; }
if ! clang-format-19 --dry-run --Werror "${files[@]}" 2>/tmp/bessemer-format.$$; then
  grep -o '^[^:]*:[0-9]*' /tmp/bessemer-format.$$ | sort -u -t: -k1,1 | head -n 20
  rm -f /tmp/bessemer-format.$$
  echo "not formatted; run: make format" >&2
  exit 1
fi
rm -f /tmp/bessemer-format.$$
echo "${#files[@]} files are formatted"
