#!/usr/bin/env bash
# Writes requirements/*.lock from pyproject.toml, for every supported Python and platform at once.
#   scripts/lock.sh              keep the pins that still fit
#   scripts/lock.sh --upgrade    take the newest versions that fit
#   scripts/lock.sh --check      write nothing; fail when a lock does not fit pyproject.toml
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mode=${1:-}
case "$mode" in
  "" | --upgrade | --check) ;;
  *) echo "usage: scripts/lock.sh [--upgrade | --check]" >&2; exit 2 ;;
esac
uv=${LAMBDA_KIT_VENV:-.venv}/bin/uv
[[ -x $uv ]] || uv=uv
if ! command -v "$uv" >/dev/null; then
  echo "lock.sh: needs uv, which scripts/test.sh installs into .venv" >&2
  exit 1
fi

# A user's own index settings must neither choose the versions nor end up in the files.
for name in "${!UV_@}"; do
  [[ $name == UV_CACHE_DIR ]] || unset "$name"
done

out=requirements
if [[ $mode == --check ]]; then
  out=$(mktemp -d)
  trap 'rm -rf "$out"' EXIT
  cp requirements/*.lock "$out/"
fi
flags=()
[[ $mode == --upgrade ]] && flags+=(--upgrade)

compile() { # NAME ARGUMENT...: the pins in the file that is there are kept where they fit
  local name=$1
  shift
  "$uv" pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --custom-compile-command scripts/lock.sh \
    ${flags[@]+"${flags[@]}"} --output-file "$out/$name.lock" "$@" >/dev/null
}

# dev.lock is the superset: the other two take their versions from it, so that one environment can hold all.
compile dev pyproject.toml --group dev
compile runtime --constraints "$out/dev.lock" pyproject.toml
compile build --constraints "$out/dev.lock" --group build
# environments of their own
for name in original fastmcp fastmcp-tasks poetry; do
  compile "$name" --group "$name"
done

# Line by line: a comment, a hash, or name==version and when it applies.
grammar='^( *#.*| +--hash=sha256:[0-9a-f]+( \\)?|[a-z0-9.-]+==[^ ]+( ; [^\\]*)? \\)$'
if grep -nvE "$grammar" requirements/*.lock || grep -n '://' requirements/*.lock; then
  echo "lock.sh: the lines above name a host, a path or an option; a lock holds versions and hashes only" >&2
  exit 1
fi

if [[ $mode == --check ]]; then
  # Hashes and comments are left out: a release may gain a wheel for a new platform at any time.
  pins() { sed -nE 's/^([a-z0-9][^ ]*==[^ \\]+( ;[^\\]*)?).*/\1/p' "$1"; }
  for lock in requirements/*.lock; do
    if ! diff -u --label "$lock" --label "what pyproject.toml asks for" <(pins "$lock") <(pins "$out/${lock##*/}"); then
      echo "lock.sh: $lock does not fit pyproject.toml; run scripts/lock.sh and commit the result" >&2
      exit 1
    fi
  done
  echo "requirements/*.lock fit pyproject.toml"
fi
