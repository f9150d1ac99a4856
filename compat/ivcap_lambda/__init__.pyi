from lambda_kit.compat.ivcap_lambda import *
from lambda_kit.compat.ivcap_lambda import __version__ as __version__
