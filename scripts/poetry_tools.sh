#!/usr/bin/env bash
# Installs poetry and poetry-plugin-ivcap into .poetry (or $LAMBDA_KIT_POETRY), an environment of their own, in the
# versions of requirements/poetry.lock, for the tests that run them. Run again, it changes nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/venv.sh
poetry=${LAMBDA_KIT_POETRY:-.poetry}
if ! cmp -s requirements/poetry.lock "$poetry/.installed"; then
  python=$(find_python)
  "$python" -m venv --clear "$poetry"
  "$poetry/bin/python" -m pip install -qq --require-hashes -r requirements/poetry.lock
  cp requirements/poetry.lock "$poetry/.installed"
fi
"$poetry/bin/poetry" --version
