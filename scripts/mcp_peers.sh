#!/usr/bin/env bash
# Installs clients of MCP that others wrote, each into an environment of its own, .venv-fastmcp and .venv-fastmcp-tasks,
# with what requirements/ says: tests let them call our tools, and benchmarks compare. Run again, it changes nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/venv.sh
ensure_own_venv fastmcp
ensure_own_venv fastmcp-tasks
