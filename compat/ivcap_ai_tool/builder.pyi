from lambda_kit.compat.ivcap_lambda.builder import *
