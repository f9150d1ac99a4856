#!/usr/bin/env bash
# Installs lambda_kit into .venv, starts examples/echo.py on a free port, sends it one request, shows the answer, ends.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/venv.sh
unset IVCAP_BASE_URL # events and results of the demonstration go to no platform

ready_within_seconds=60
request='{"message": "Hello, IVCAP!"}'
log=$(mktemp)
server=

stop_server() {
  [[ -n $server ]] || return 0
  kill "$server" 2>/dev/null || true
  for _ in {1..100}; do
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  server=
}
clean_up() {
  stop_server
  rm -f "$log"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() { # MESSAGE
  echo "demo.sh: $1; the server's log:" >&2
  cat "$log" >&2
  exit 1
}

show() { # COMMAND ARGUMENT...: as one would type it
  local word line='$'
  for word in "$@"; do
    [[ $word =~ ^[A-Za-z0-9_./:=-]+$ ]] || word="'$word'"
    line+=" $word"
  done
  echo "$line"
}

ensure_venv runtime
python=$VENV/bin/python

port=$("$python" -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
url=http://127.0.0.1:$port
serve=("$python" examples/echo.py --host 127.0.0.1 --port "$port")
show "${serve[@]}"
"${serve[@]}" >"$log" 2>&1 </dev/null &
server=$!

is_ready() {
  "$python" -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=2)' "$url/_healtz" 2>/dev/null
}
SECONDS=0
until is_ready; do
  kill -0 "$server" 2>/dev/null || fail "the server ended before it was ready"
  ((SECONDS < ready_within_seconds)) || fail "the server was not ready within $ready_within_seconds seconds"
  sleep 0.1
done

if command -v curl >/dev/null; then
  post=(curl -sS -i -X POST -H 'Content-Type: application/json' -d "$request" "$url/")
else
  code='import sys, urllib.request as u; r = u.urlopen(u.Request(sys.argv[1], sys.argv[2].encode(), {"Content-Type":'
  code+=' "application/json"})); print("HTTP/1.1", r.status, r.reason); print(r.headers, r.read().decode(), sep="")'
  post=("$python" -c "$code" "$url/" "$request")
fi
show "${post[@]}"
answer=$("${post[@]}" 2>&1) || fail "the request failed: $answer"
echo "$answer"
[[ $answer =~ ^HTTP/1.1\ 200 && $answer == *'Hello, IVCAP!'* ]] || fail "that is not the answer of an echo"
