"""What is kept of a request: which header fields, and what of the query."""

import pytest
from pydantic import BaseModel

from lambda_kit import LambdaTool, RequestInfo, Service, ToolServer
from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.model.request_info import KeptFields, redacted_query

SERVICE = Service(name="S", contact={"name": "A", "email": "a@example.com"})


class Nothing(BaseModel):
    pass


class Echo(LambdaTool):
    """Echo"""

    def run(self, req: Nothing) -> int:
        return 1


@pytest.mark.parametrize(
    "name",
    [
        "accept", "accept-language", "content-type", "content-length", "content-language", "host", "origin", "via",
        "user-agent", "date", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port",
        "x-forwarded-proto", "x-forwarded-prefix", "x-forwarded-user", "x-forwarded-email", "x-forwarded-groups",
        "x-forwarded-preferred-username", "x-real-ip", "x-request-id", "x-correlation-id", "traceparent", "tracestate",
        "baggage", "prefer", "timeout", "job-time-limit", "ivcap-anything",
    ],
)  # fmt: skip
def test_header_fields_on_the_list_are_kept(name: str) -> None:
    assert KeptFields().of([(name.encode(), b"v")]) == ((name.encode(), b"v"),)


@pytest.mark.parametrize(
    "name",
    [
        "authorization", "proxy-authorization", "cookie", "x-api-key", "api_key", "x-auth-token", "idempotency-key",
        "x-amz-security-token", "x-session-id", "x-hub-signature", "x-client-cert", "referer", "x-anything", "acceptor",
        "ivcap-token", "ivcap-api-key", "accept-secret", "x-forwarded-access-token",
    ],
)  # fmt: skip
def test_no_other_header_field_is_kept(name: str) -> None:
    assert KeptFields().of([(name.encode(), b"v"), (b"host", b"h")]) == ((b"host", b"h"),)


def test_an_author_adds_header_fields_by_name_in_either_case() -> None:
    kept = KeptFields(["X-Tenant", "x_monkey"])
    fields = ((b"x-tenant", b"1"), (b"x_monkey", b"2"), (b"x-tenant", b"3"))
    assert kept.of([*fields, (b"x-other", b"4")]) == fields
    assert KeptFields().of(fields) == ()


@pytest.mark.parametrize(
    "name", ["Authorization", "proxy-authorization", "COOKIE", "X-API-Key", "x_auth_token", "My-Secret-Field"]
)
def test_a_server_that_would_keep_a_credential_is_not_built(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"keep_headers: '{name}' holds a credential"):
        ToolServer(SERVICE, [Echo], keep_headers=["X-Tenant", name])


@pytest.mark.parametrize("names", ["X-Tenant", ["X Tenant"], [""], ["x:"], [b"x-tenant"]])
def test_what_is_no_list_of_names_is_refused_when_the_server_is_built(names: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="keep_headers"):
        ToolServer(SERVICE, [Echo], keep_headers=names)


@pytest.mark.parametrize(
    "name",
    [
        "token", "access_token", "accessToken", "ACCESS_TOKEN", "key", "apikey", "APIKEY", "api-key", "apiKey",
        "APIKey", "client_secret", "password", "auth", "authorization", "sig", "X-Amz-Signature", "X-Amz-Credential",
        "code", "AWSAccessKeyId", "OAuthToken", "my.secret", "%74oken", "auth[user]",
    ],
)  # fmt: skip
def test_credentials_in_the_query_become_stars(name: str) -> None:
    assert redacted_query(f"a=1&{name}=hidden%20&b=2") == f"a=1&{name}=***&b=2"
    assert redacted_query(f"a=1;{name}=x=y".encode()) == f"a=1;{name}=***".encode()


@pytest.mark.parametrize(
    "query", ["", "a", "token", "monkey=1", "postcode=1", "Code=1", "zip_code=1", "design=1", "author=1", "a=&&b=1;;"]
)
def test_the_rest_of_a_query_is_kept_as_it_is(query: str) -> None:
    assert redacted_query(query) == query


def test_header_fields_of_one_name_are_joined() -> None:
    info = RequestInfo(method="POST", url="/", fields=((b"x-a", b"1"), (b"x-b", b"\xe9"), (b"x-a", b"2")))
    assert info.headers == {"x-a": "1, 2", "x-b": "é"}
    info.headers["x-c"] = "of the caller's own copy"
    assert info.headers == {"x-a": "1, 2", "x-b": "é"}
