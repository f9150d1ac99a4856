"""Asks for the health of a server, one request at a time, until its stdin is closed.

A pause of the server shows as one long request, not as many: look at the maximum.
"""

import argparse
import http.client
import json
import select
import sys
import time

__all__ = ["main"]

_TIMEOUT_SECONDS = 60.0


def _ask(port: int, connection: http.client.HTTPConnection | None) -> tuple[http.client.HTTPConnection | None, bool]:
    """One request; returns the connection to go on with and whether the answer was 200."""
    connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/_healtz")
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return None, False
    return connection, answer.status == 200


def main() -> None:
    """Write `ready` after the first answer and all the latencies at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--interval", type=float, required=True, help="seconds from one request to the next")
    args = parser.parse_args()
    connection, is_healthy = _ask(args.port, None)
    print("ready", flush=True)
    samples: list[tuple[float, float]] = []
    failures = int(not is_healthy)
    while True:
        begin = time.monotonic()
        connection, is_healthy = _ask(args.port, connection)
        latency = time.monotonic() - begin
        samples.append((begin, latency))
        failures += not is_healthy
        pause = max(0.0, args.interval - latency)
        if select.select([sys.stdin], [], [], pause)[0]:
            break
    if connection is not None:
        connection.close()
    print(json.dumps({"samples": samples, "failures": failures}))


if __name__ == "__main__":
    main()
