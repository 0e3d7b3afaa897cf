#!/bin/sh
# Installs Debian packages where that needs no question: as root, with apt-get. Elsewhere it fails; the caller says what to type.
set -eu

if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    exit 1
fi

echo "Installing $* (once)…"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# A package list that cannot be fetched matters only if a package then cannot be installed.
if ! { apt-get update || true; apt-get install --yes --no-install-recommends "$@"; } > "$log" 2>&1 < /dev/null; then
    tail -n 5 "$log" >&2
    exit 1
fi
