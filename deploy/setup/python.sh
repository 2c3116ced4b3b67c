#!/usr/bin/env bash
# Makes build/venv with the Python packages that tests compare against (tests/requirements.txt). Idempotent.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
venv="$root/build/venv"
wanted="$root/tests/requirements.txt"
stamp="$venv/.installed"

[ -f "$stamp" ] && cmp -s "$wanted" "$stamp" && exit 0
# The system's own interpreter: one from elsewhere may lack venv or be gone tomorrow.
python=/usr/bin/python3
[ -x "$python" ] || python=python3
echo "setup: making build/venv from tests/requirements.txt (about 100 MB to download)"
mkdir -p "$root/build"
"$python" -m venv --clear "$venv" || { echo "setup: python3 -m venv failed; install python3-venv" >&2; exit 1; }
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$wanted" ||
  { echo "setup: pip could not install tests/requirements.txt; is PyPI reachable from here?" >&2; exit 1; }
cp "$wanted" "$stamp"
echo "setup: done"
