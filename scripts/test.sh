#!/usr/bin/env bash
# Installs everything that development needs into .venv and runs the tests; arguments go to pytest.
#   scripts/test.sh              all but the slow ones
#   scripts/test.sh --quick      under a minute: the core, and the contracts of what needs no process and no server
# Four processes: most tests wait for services that they have started. One that has nothing left takes tests from another,
# since files differ a hundredfold in how long they take.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/venv.sh
ensure_venv dev
exec "$VENV/bin/python" -m pytest -n 4 --dist worksteal "$@"
