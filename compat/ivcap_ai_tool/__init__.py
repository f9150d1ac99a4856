"""The import name of ivcap-ai-tool, for `lambda_kit.compat.ivcap_lambda`."""

import warnings

from lambda_kit.compat.aliases import add_alias

warnings.warn(
    "The package 'ivcap_ai_tool' is called 'ivcap_lambda' today: change the imports to 'from ivcap_lambda import ...'",
    DeprecationWarning,
    stacklevel=2,
)
add_alias(__name__, "lambda_kit.compat.ivcap_lambda", __file__)
