#!/usr/bin/env bash
# Unpacks CUDA 13.0 from PyPI (cuda-requirements.txt) to build/cuda-toolkit, laid out as a toolkit that CMake finds: compiler, headers,
# run-time libraries, cuBLASLt. For machines without one of their own; no driver is needed to build. Idempotent.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
wanted="$root/deploy/setup/cuda-requirements.txt"
prefix="$root/build/cuda-toolkit"
stamp="$prefix/.installed"

die() { echo "setup: $*" >&2; exit 1; }

[ -f "$stamp" ] && cmp -s "$wanted" "$stamp" && exit 0
[ "$(uname -m)" = x86_64 ] || die "the pinned CUDA packages are for x86-64; elsewhere install CUDA 13.0 and give its nvcc as -DCMAKE_CUDA_COMPILER"
python=/usr/bin/python3
[ -x "$python" ] || python=python3
"$python" -m pip --version >/dev/null 2>&1 || die "$python has no pip; install python3-pip"
available=$(df --output=avail -B1M "$root" | tail -n 1)
[ "$available" -ge 3000 ] || die "build/cuda-toolkit needs 3,000 MB, but $root has $available MB left; make room and run this again"

mkdir -p "$root/build"
work=$(mktemp -d "$root/build/cuda-setup.XXXXXX")
trap 'rm -rf "$work"' EXIT
echo "setup: downloading CUDA 13.0 from PyPI (530 MB)"
# Each package once has its own manylinux tag; every tag up to Debian 12's glibc is fine.
platforms=(--platform manylinux1_x86_64 --platform manylinux2010_x86_64 --platform manylinux2014_x86_64)
for minor in 5 12 17 24 27 28 31 34 35 36; do platforms+=(--platform "manylinux_2_${minor}_x86_64"); done
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: "${platforms[@]}" \
  --dest "$work/wheels" -r "$wanted" ||
  die "pip could not download deploy/setup/cuda-requirements.txt; is PyPI reachable from here? Behind a mirror set PIP_INDEX_URL"

echo "setup: unpacking to build/cuda-toolkit"
for wheel in "$work"/wheels/*.whl; do
  "$python" -m zipfile -e "$wheel" "$work/tree" || die "$(basename "$wheel") cannot be unpacked; run this again"
done
toolkit="$work/tree/nvidia/cu13"
[ -x "$toolkit/bin" ] && [ -f "$toolkit/include/cublasLt.h" ] || die "the packages lie otherwise than expected; check cuda-requirements.txt"
cp -r "$work"/tree/*.dist-info "$toolkit/"  # licences
ln -sfn lib "$toolkit/lib64"
for library in "$toolkit"/lib/*.so.*; do
  ln -sfn "$(basename "$library")" "${library%%.so.*}.so"
done
chmod -R u+x "$toolkit/bin" "$toolkit/nvvm/bin"
"$toolkit/bin/nvcc" --version >/dev/null || die "the unpacked nvcc does not start"
rm -rf "$prefix"
mv "$toolkit" "$prefix"
cp "$wanted" "$stamp"
echo "setup: done; build with: cmake --preset cuda && cmake --build --preset cuda"
