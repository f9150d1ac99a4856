from lambda_kit.compat.ivcap_lambda.server import *
