from lambda_kit.compat.ivcap_lambda.executor import *
