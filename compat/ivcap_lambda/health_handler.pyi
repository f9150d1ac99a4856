from lambda_kit.compat.ivcap_lambda.health_handler import *
