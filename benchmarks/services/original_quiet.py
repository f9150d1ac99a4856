"""`ivcap-lambda` without its access log, which none of the others writes either."""

from ivcap_lambda import (  # type: ignore[import-not-found,unused-ignore]
    start_lambda_server,  # pyright: ignore[reportMissingImports]
)

from benchmarks.services.original import service

if __name__ == "__main__":
    start_lambda_server(service, run_opts={"access_log": False, "loop": "uvloop", "http": "httptools"})
