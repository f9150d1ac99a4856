"""lambda_kit that takes anybody, or those with an API key or a token; the command line says which."""

import argparse
import hashlib
import json
from contextlib import ExitStack
from pathlib import Path

from benchmarks.services.ours import EchoAsync, EchoSync, service
from lambda_kit import CallerLimits, ToolServer
from lambda_kit.adapters.auth import ApiKeys, OidcAuthenticator
from lambda_kit.core.ports.authenticator import Authenticator
from lambda_kit.testing import FakeIssuer

_AUDIENCE = "benchmark"
_KEY = "lk_" + "b" * 49
_SCOPES = ["greet", "read", "write"]
_NEVER_REACHED = CallerLimits(max_unfinished=100_000, rate_per_second=1_000_000.0)


def main() -> None:
    """Serve the echoes to those whom `--callers` says: anonymous, key, token, or limited (keys, with limits).

    What a caller has to send is written to the file of `--fields`, before the port is open.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--callers", required=True)
    parser.add_argument("--fields", type=Path, required=True)
    own, others = parser.parse_known_args()
    authenticator: Authenticator | None = None
    fields: dict[str, str] = {}
    with ExitStack() as opened:
        if own.callers == "token":
            issuer = opened.enter_context(FakeIssuer())
            authenticator = OidcAuthenticator(issuer.url, audience=_AUDIENCE)
            token = issuer.token("ann", audience=_AUDIENCE, scopes=_SCOPES, name="Ann", email="ann@example.com")
            fields = {"Authorization": f"Bearer {token}"}
        elif own.callers != "anonymous":
            authenticator = ApiKeys(
                f"ann scopes={','.join(_SCOPES)} sha256:{hashlib.sha256(_KEY.encode()).hexdigest()}"
            )
            fields = {"X-API-Key": _KEY}
        own.fields.write_text(json.dumps(fields))
        limits = _NEVER_REACHED if own.callers == "limited" else None
        ToolServer(service, tools=[EchoSync, EchoAsync], authenticator=authenticator, caller_limits=limits).serve(
            others
        )


if __name__ == "__main__":
    main()
