from lambda_kit.compat.ivcap_lambda.utils import *
