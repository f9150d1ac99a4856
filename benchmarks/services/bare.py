"""The upper bound in Litestar: the same models in plain handlers, without jobs, ids or try-later."""

import argparse

import uvicorn
from litestar import Litestar, post

from benchmarks.services.models import EchoRequest, EchoResult


@post("/sync", status_code=200, sync_to_thread=True)
def echo_sync(data: EchoRequest) -> EchoResult:
    """Echo a message, in a thread of the pool."""
    return EchoResult(echo=data.message)


@post("/async", status_code=200)
async def echo_async(data: EchoRequest) -> EchoResult:
    """Echo a message, on the event loop."""
    return EchoResult(echo=data.message)


app = Litestar([echo_sync, echo_async])

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args()
    uvicorn.run(
        app,
        host=args.host,
        port=args.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
