"""The import name of ivcap-lambda, for `lambda_kit.compat.ivcap_lambda`."""

from lambda_kit.compat.aliases import add_alias

add_alias(__name__, "lambda_kit.compat.ivcap_lambda", __file__)
