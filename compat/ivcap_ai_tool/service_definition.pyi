from lambda_kit.compat.ivcap_lambda.service_definition import *
