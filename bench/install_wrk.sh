#!/usr/bin/env bash
# The load generator: wrk, from Debian's packages.
set -euo pipefail
command -v wrk >/dev/null && exit 0
echo "Installing wrk ..."
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq >/dev/null && apt-get install -y -qq wrk >/dev/null
else
    echo "wrk is not installed. On Debian and Ubuntu: sudo apt-get install wrk" >&2
    exit 1
fi
