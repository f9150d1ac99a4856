from lambda_kit.compat.ivcap_lambda.decorators import *
