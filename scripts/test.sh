#!/usr/bin/env bash
# Installs everything that development needs into .venv and runs the tests; arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/venv.sh
ensure_venv dev
exec "$VENV/bin/python" -m pytest "$@"
