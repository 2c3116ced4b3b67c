#!/usr/bin/env bash
# Installs the routers that ours is measured beside, each in a Python environment of its own, and prints a line for each:
# NAME=COMMAND with {port} and {worker}, as bessemer_router_compare --peer takes it.
#   bench/peer_routers.sh
# From PyPI, pinned, into ~/.cache/bessemer/peers; nothing of it is committed or linked. Idempotent.
set -euo pipefail

peers=${XDG_CACHE_HOME:-$HOME/.cache}/bessemer/peers
say() { echo "peer: $*" >&2; }
die() { echo "peer: $*" >&2; exit 1; }

# The environment of package $1 at version $2.
environment() {
  local home=$peers/$1-$2
  if [ ! -e "$home/.complete" ]; then
    say "installing $1 $2"
    rm -rf "$home"
    python3 -m venv "$home" || die "python3 -m venv failed. Remedy: install python3-venv"
    "$home/bin/python" -m pip install --quiet --disable-pip-version-check "$1==$2" >"$home/install.log" 2>&1 ||
      die "pip could not install $1==$2; see $home/install.log. Is PyPI reachable from here?"
    touch "$home/.complete"
  fi
  echo "$home"
}

mkdir -p "$peers"
flags="--host 127.0.0.1 --port {port} --worker-urls {worker} --policy cache_aware --log-level error"
vllm=$(environment vllm-router 0.1.17)
smg=$(environment smg 1.13.0)
sglang=$(environment sglang-router 0.3.2)
echo "vllm-router=$vllm/bin/vllm-router $flags"
echo "smg=$smg/bin/smg launch $flags"
echo "sglang-router=$sglang/bin/python -m sglang_router.launch_router $flags"
