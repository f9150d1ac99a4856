from lambda_kit.compat.ivcap_lambda.secret import *
