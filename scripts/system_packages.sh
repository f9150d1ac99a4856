#!/usr/bin/env bash
# Installs the programs that tests use and that pip can't install: nginx. Where they are, it does nothing; otherwise it
# needs apt-get and root. Without them the tests that use them are skipped, but in CI they fail.
set -euo pipefail
PATH=$PATH:/usr/sbin:/usr/local/sbin
if ! command -v nginx >/dev/null; then
  if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
    echo "nginx is missing; on Debian: sudo apt-get install nginx-light" >&2
    exit 1
  fi
  # the package would start a server on port 80
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
  apt-get install -y -qq --no-install-recommends nginx-light >/dev/null || {
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends nginx-light >/dev/null
  }
fi
nginx -v
