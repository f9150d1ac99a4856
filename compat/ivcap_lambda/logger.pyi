from lambda_kit.compat.ivcap_lambda.logger import *
