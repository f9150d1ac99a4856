#!/usr/bin/env bash
# Installs ivcap-lambda, the library that this one succeeds, into .venv-original, with what requirements/original.lock
# says: tests run the same tools on both and compare. Run again, it changes nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/venv.sh
ensure_own_venv original
