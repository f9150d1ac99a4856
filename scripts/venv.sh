# shellcheck shell=bash
# Sourced by the other scripts, from the project's folder: `ensure_venv runtime` or `ensure_venv dev` makes .venv
# (or $LAMBDA_KIT_VENV), with what requirements/*.lock say and this checkout in it. Run again, it changes what has
# changed. $PYTHON chooses the interpreter of an environment that is not there yet.

VENV=${LAMBDA_KIT_VENV:-.venv}

# Settings of the caller's own Python must not reach into the environment, nor its proxy the local servers. Without
# bytecode, which images of containers like to forbid, each of hundreds of processes would compile the package anew.
unset PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH PIP_CONSTRAINT PIP_PREFIX PIP_REQUIRE_HASHES PIP_TARGET PIP_USER
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PYTHONNOUSERSITE=1
export no_proxy="127.0.0.1,localhost${no_proxy:+,$no_proxy}"
export NO_PROXY=$no_proxy

is_supported_python() { # COMMAND
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' >/dev/null 2>&1
}

find_python() {
  local candidate
  if [[ -n ${PYTHON:-} ]]; then
    is_supported_python "$PYTHON" && echo "$PYTHON" && return
    echo "\$PYTHON ($PYTHON) is not a Python 3.11 to 3.14" >&2
    return 1
  fi
  for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do
    is_supported_python "$candidate" && echo "$candidate" && return
  done
  echo "No Python 3.11 to 3.14 found: install one, or name it: PYTHON=/path/to/python3 $0" >&2
  return 1
}

ensure_venv() { # runtime | dev
  local python locks=(-r requirements/build.lock -r requirements/runtime.lock)
  [[ $1 == runtime ]] || locks=(-r requirements/dev.lock)
  if ! is_supported_python "$VENV/bin/python"; then
    if [[ -e $VENV && ! -e $VENV/pyvenv.cfg ]]; then
      echo "$VENV is there and is no virtual environment: remove it, or name another in \$LAMBDA_KIT_VENV" >&2
      return 1
    fi
    python=$(find_python) || return 1
    echo "Making $VENV with $("$python" --version)" >&2
    if ! "$python" -m venv --clear "$VENV"; then
      echo "$python cannot make virtual environments (on Debian: apt-get install python3-venv)" >&2
      return 1
    fi
  fi
  "$VENV/bin/python" -c 'import pip' 2>/dev/null || "$VENV/bin/python" -m ensurepip >/dev/null || return 1
  echo "Installing what requirements/*.lock say ($1)" >&2
  "$VENV/bin/python" -m pip install -qq --require-hashes "${locks[@]}" || return 1
  "$VENV/bin/python" -m pip install -qq --no-deps --no-build-isolation --editable .
}

ensure_own_venv() { # NAME: .venv-NAME, with what requirements/NAME.lock says and nothing else
  local python lock=requirements/$1.lock folder=.venv-$1
  cmp -s "$lock" "$folder/installed.lock" && return
  python=$(find_python) || return 1
  "$python" -m venv --clear "$folder" || return 1
  # a lock names all there is; with extras of dependencies, pip's own search looks for versions that are not in it
  "$folder/bin/python" -m pip install -qq --require-hashes --no-deps -r "$lock" || return 1
  cp "$lock" "$folder/installed.lock"
}
