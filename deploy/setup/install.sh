#!/usr/bin/env bash
# Installs the Debian packages of the named groups (files in deploy/setup/packages) that are missing; says what it does.
#   deploy/setup/install.sh build test lint
# Idempotent; works as root or through sudo. Asks the network only when something is missing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

die() { echo "setup: $*" >&2; exit 1; }

wanted=()
for group in "$@"; do
  list="$here/packages/$group.txt"
  [ -f "$list" ] || die "no package group '$group' (have: $(cd "$here/packages" && echo *.txt | sed 's/\.txt//g'))"
  mapfile -t -O "${#wanted[@]}" wanted < <(grep -v '^#' "$list")
done

command -v dpkg-query >/dev/null || die "this script knows Debian packages only; on another system install: ${wanted[*]}"
missing=()
for package in "${wanted[@]}"; do
  state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || die "missing packages, and neither root nor sudo is to be had. As root run: apt-get install ${missing[*]}"
  as_root=(sudo)
fi

echo "setup: installing ${#missing[@]} packages: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt_get() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@"
}
echo "setup: reading the package lists"
apt_get update -qq || echo "setup: warning: the package lists could not be renewed; going on with those at hand" >&2
for package in "${missing[@]}"; do
  apt-cache show "$package" >/dev/null 2>&1 ||
    die "Debian's lists have no package '$package'. Bessemer is built on Debian 12 (bookworm) with its main and security archives; check /etc/apt/sources.list, then run this again"
done
echo "setup: downloading and unpacking (a minute or two on a new machine)"
if ! apt_get install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  die "apt-get could not install the packages above. Remedy: run 'apt-get install ${missing[*]}' by hand and read its message"
fi
echo "setup: done"
