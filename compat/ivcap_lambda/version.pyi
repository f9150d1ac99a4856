from lambda_kit.compat.ivcap_lambda.version import *
