from lambda_kit.compat.ivcap_lambda.mcp import *
