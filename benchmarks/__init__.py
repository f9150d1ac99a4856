"""How fast lambda_kit is, beside `ivcap-lambda` and a bare Litestar handler: `python -m benchmarks`."""
