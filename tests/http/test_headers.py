"""What the HTTP adapter makes of request headers, good and bad."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_kit.adapters.http.headers import (
    MAX_WAIT_SECONDS,
    HeaderError,
    header,
    header_values,
    is_json_content_type,
    media_type,
    parse_idempotency_key,
    parse_job_id,
    parse_timeout,
)
from lambda_kit.adapters.http.prefer import WaitPreference, parse_prefer, wait_preference
from lambda_kit.core.errors import BadRequestError
from lambda_kit.core.model.job import JOB_URN_PREFIX, new_job_id

# what a server can get in a header, and with a bias towards what means something in one
ANY_VALUE = st.text(st.characters(max_codepoint=0xFF)) | st.text(" \t,;=\"\\'aW0.-:/\x00\n\xe9")
TOKENS = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1)


def raw(*pairs: tuple[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs]


def prefer(*values: str) -> WaitPreference:
    return wait_preference(raw(*(("Prefer", value) for value in values)))


# accessors


def test_a_header_that_was_not_sent_is_none():
    assert header(raw(("accept", "*/*")), b"timeout") is None
    assert header_values(raw(("accept", "*/*")), b"timeout") == []


def test_several_headers_of_one_name_are_joined_in_order():
    headers = raw(("x-a", " 1 "), ("x-b", "2"), ("x-a", "3\t"))
    assert header_values(headers, b"x-a") == ["1", "3"]
    assert header(headers, b"x-a") == "1, 3"


def test_an_empty_header_is_not_an_absent_one():
    assert header(raw(("timeout", "")), b"timeout") == ""


def test_bytes_beyond_ascii_are_read_as_latin_1():
    assert header([(b"x-a", b"caf\xe9")], b"x-a") == "caf\xe9"


# errors


def test_a_header_error_is_a_bad_request_that_names_the_header():
    with pytest.raises(HeaderError, match=r"^Timeout: 'soon' is not a number") as caught:
        parse_timeout("soon")
    assert isinstance(caught.value, BadRequestError)
    assert caught.value.header == "Timeout"
    assert "allowed" in caught.value.message


@pytest.mark.parametrize("value", ["q" * 500, "\x00" * 500, "\xe9" * 81, "\n" * 60])
def test_an_error_shows_little_of_a_value_and_nothing_unprintable(value: str):
    with pytest.raises(HeaderError) as caught:
        parse_timeout(value)
    text = str(caught.value)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 200
    assert text.count("q") <= 80


# Prefer


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["respond-async"], WaitPreference(0.0, False, "respond-async")),
        (["Respond-Async"], WaitPreference(0.0, False, "respond-async")),
        (['respond-async=""'], WaitPreference(0.0, False, "respond-async")),
        (["wait=10"], WaitPreference(10.0, False, "wait=10")),
        (["wait=0"], WaitPreference(0.0, False, "wait=0")),
        (["WAIT=007"], WaitPreference(7.0, False, "wait=7")),
        (['wait="10"'], WaitPreference(10.0, False, "wait=10")),
        (['wait="1\\0"'], WaitPreference(10.0, False, "wait=10")),
        (["wait = 10"], WaitPreference(10.0, False, "wait=10")),
        (["respond-async, wait=10"], WaitPreference(10.0, False, "respond-async, wait=10")),
        (["wait=10,respond-async"], WaitPreference(10.0, False, "respond-async, wait=10")),
        (["wait=10", "respond-async"], WaitPreference(10.0, False, "respond-async, wait=10")),
        (["return=representation"], WaitPreference(None, True, "return=representation")),
        (['Return="representation"'], WaitPreference(None, True, "return=representation")),
        (["return=minimal"], WaitPreference(None, False, None)),
        (["return=whatever"], WaitPreference(None, False, None)),
        (
            ["return=representation, respond-async"],
            WaitPreference(0.0, True, "respond-async, return=representation"),
        ),
        (["respond-async=yes"], WaitPreference(None, False, None)),
        (["handling=lenient, x; y"], WaitPreference(None, False, None)),
        (['foo="a, wait=3; \\"respond-async\\"", wait=5'], WaitPreference(5.0, False, "wait=5")),
        (
            ['wait=5; foo=bar; baz; q="x,y";, respond-async ;'],
            WaitPreference(5.0, False, "respond-async, wait=5"),
        ),
        ([" , ,wait=5,, \t,"], WaitPreference(5.0, False, "wait=5")),
        ([""], WaitPreference()),
        ([",", " "], WaitPreference()),
    ],
)
def test_prefer_is_read_as_rfc_7240_has_it(values: list[str], expected: WaitPreference):
    assert prefer(*values) == expected


def test_the_first_of_several_preferences_of_one_name_counts():
    assert prefer("wait=3, wait=4").seconds == 3
    assert prefer("wait=3", "WAIT=4").seconds == 3
    assert prefer("wait=3, wait=soon").seconds == 3
    assert not prefer("return=minimal, return=representation").representation


@pytest.mark.parametrize("value", ["wait", "wait=-1", "wait=1.5", "wait=soon", 'wait=""', "wait=1_0", "wait=\xb2"])
def test_a_wait_that_is_no_number_of_seconds_is_refused(value: str):
    with pytest.raises(HeaderError, match=r"^Prefer: .*allowed"):
        prefer(value)


@pytest.mark.parametrize(
    "value",
    [
        "=5",
        "wait=",
        "wait 5",
        'foo="bar',
        'foo="bar\\"',
        "foo=bar baz",
        "foo=a=b",
        '"wait"=5',
        "foo=\x00",
        "a;b=,c",
        "tz=Europe/Berlin",
    ],
)
def test_a_malformed_prefer_is_refused(value: str):
    with pytest.raises(HeaderError, match=r"^Prefer: .*allowed"):
        prefer("respond-async", value)


def test_a_quoted_string_does_not_run_into_the_next_header():
    with pytest.raises(HeaderError):
        prefer('foo="a', 'b"')


def test_a_wait_longer_than_the_event_loop_can_sleep_is_cut():
    assert prefer("wait=" + "9" * 50).seconds == MAX_WAIT_SECONDS
    assert prefer("wait=" + "9" * 5000) == WaitPreference(MAX_WAIT_SECONDS, False, "wait=2147483648")


# Timeout


@pytest.mark.parametrize(
    ("value", "seconds"), [("5", 5.0), ("0.25", 0.25), ("0", 0.0), (" 3\t", 3.0), (".5", 0.5), ("00", 0.0)]
)
def test_a_timeout_is_a_decimal_number_of_seconds(value: str, seconds: float):
    assert parse_timeout(value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "-1",
        "+1",
        "1e3",
        "inf",
        "Infinity",
        "nan",
        "1_000",
        "5s",
        "0x10",
        "1,5",
        "5.",
        ".",
        "\xb2",
        "9" * 400,
    ],
)
def test_any_other_timeout_is_refused(value: str):
    with pytest.raises(HeaderError, match=r"^Timeout: "):
        parse_timeout(value)


def test_a_timeout_given_twice_is_refused():
    with pytest.raises(HeaderError, match=r"^Timeout: "):
        wait_preference(raw(("Timeout", "1"), ("Timeout", "1")))


# both


def test_without_prefer_and_timeout_the_tool_decides():
    assert wait_preference(raw(("accept", "*/*"))) == WaitPreference(None, False, None)


@pytest.mark.parametrize(
    ("preferences", "expected"),
    [
        ("respond-async", WaitPreference(0.0, False, "respond-async")),
        ("wait=10", WaitPreference(2.5, False, None)),
        ("wait=10, respond-async", WaitPreference(2.5, False, "respond-async")),
        ("wait=10, return=representation", WaitPreference(2.5, True, "return=representation")),
        ("x", WaitPreference(2.5, False, None)),
    ],
)
def test_timeout_wins_over_wait_and_respond_async_alone_over_timeout(preferences: str, expected: WaitPreference):
    assert wait_preference(raw(("Timeout", "2.5"), ("Prefer", preferences))) == expected


def test_a_bad_timeout_is_refused_even_where_prefer_would_win():
    with pytest.raises(HeaderError, match=r"^Timeout: "):
        wait_preference(raw(("Prefer", "respond-async"), ("Timeout", "soon")))


@given(st.lists(ANY_VALUE, max_size=3), st.lists(ANY_VALUE, max_size=2))
def test_whatever_prefer_and_timeout_hold_only_a_header_error_comes_of_it(prefers: list[str], timeouts: list[str]):
    pairs = [("Prefer", value) for value in prefers] + [("Timeout", value) for value in timeouts]
    try:
        wanted = wait_preference(raw(*pairs))
    except HeaderError:
        return
    assert wanted.seconds is None or 0 <= wanted.seconds <= MAX_WAIT_SECONDS
    assert wanted.applied is None or re.fullmatch(r"[a-z0-9=, -]+", wanted.applied)


@given(st.dictionaries(TOKENS.map(str.lower), st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E))))
def test_preferences_that_were_written_are_read_back(preferences: dict[str, str]):
    def quoted(text: str) -> str:
        return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'

    value = ", ".join(f"{name}={quoted(text)}; p={quoted(text)}" for name, text in preferences.items())
    assert parse_prefer([value]) == preferences


@given(st.integers(0, 2**31))
def test_what_was_applied_can_be_asked_for_again(seconds: int):
    applied = prefer(f"wait={seconds}, respond-async, return=representation").applied
    assert applied is not None
    assert prefer(applied) == WaitPreference(float(seconds), True, applied)


# job ids


@pytest.mark.parametrize("prefix", ["", "urn:ivcap:job:", "URN:IVCAP:job:", "Urn:Ivcap:job:"])
@pytest.mark.parametrize("job_id", ["1", "a.b_c:d-e", "x" * 128, "...", "urn", "JOB:7"])
def test_a_job_is_named_by_its_id_or_its_urn(prefix: str, job_id: str):
    assert parse_job_id(prefix + job_id) == job_id


@pytest.mark.parametrize(
    "value",
    [
        "",
        "urn:ivcap:job:",
        "x" * 129,
        "urn:ivcap:job:" + "x" * 129,
        "a b",
        " a",
        "a\n",
        "a/b",
        "\xe9",
        "a, b",
        ".",
        "..",
        "urn:ivcap:job:..",
        "urn:ivcap:service:1",
        "urn:ivcap:job:urn:ivcap:job:1",
        "urn:ivcap:JOB:1",
    ],
)
def test_anything_else_is_no_job_id(value: str):
    with pytest.raises(HeaderError, match=r"^the path's job id: .*urn:ivcap:job:"):
        parse_job_id(value, "the path's job id")


@given(ANY_VALUE)
def test_a_job_id_is_refused_or_comes_back_from_its_own_urn(value: str):
    try:
        job_id = parse_job_id(value)
    except HeaderError:
        return
    assert parse_job_id(JOB_URN_PREFIX + job_id) == parse_job_id(job_id) == job_id


def test_the_ids_that_the_service_makes_are_job_ids():
    job_id = new_job_id()
    assert parse_job_id(JOB_URN_PREFIX + job_id) == job_id


# Idempotency-Key


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ('"8e03978e-40d5-43dd-bc93-6894a57f9324"', "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ("c2VjcmV0/+==", "c2VjcmV0/+=="),
        ('"a \\"b\\" \\\\ c, d; e"', 'a "b" \\ c, d; e'),
        ("k" * 255, "k" * 255),
    ],
)
def test_an_idempotency_key_is_a_quoted_string_or_a_bare_word(value: str, key: str):
    assert parse_idempotency_key(value) == key


@pytest.mark.parametrize(
    "value",
    ["", '""', '" "', '"a', 'a"', "a b", "a,b", "a;b", '"a", "b"', '"a\\n"', '"\xe9"', '"\x00"', "k" * 256],
)
def test_any_other_idempotency_key_is_refused(value: str):
    with pytest.raises(HeaderError, match=r"^Idempotency-Key: "):
        parse_idempotency_key(value)


@given(ANY_VALUE)
def test_an_idempotency_key_is_refused_or_is_printable_ascii(value: str):
    try:
        key = parse_idempotency_key(value)
    except HeaderError:
        return
    assert key.isascii()
    assert key.isprintable()
    assert 1 <= len(key) <= 255


# Content-Type


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "application/json",
        "Application/JSON",
        "application/json;",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/json; charset=utf8; x=y",
        "application/json; x",
        'application/json; x="; charset=utf-16"',
        "application/problem+json",
        "application/vnd.acme.v1+JSON ; v=1",
        "image/geo+json",
    ],
)
def test_json_is_recognised(value: str | None):
    assert is_json_content_type(value)


@pytest.mark.parametrize(
    "value",
    [
        "text/plain",
        "text/json",
        "application/xml",
        "application/jsonp",
        "application/json-seq",
        "application/+json",
        "application/json, text/plain",
        "application/json; charset=utf-16",
        "application/x+json;charset=latin-1",
        "json",
        "+json",
        "text/plain; a=b+json",
        "multipart/form-data; boundary=application/json",
    ],
)
def test_what_is_not_json_in_utf_8_is_not_json(value: str):
    assert not is_json_content_type(value)


@pytest.mark.parametrize(
    ("value", "essence"),
    [
        (None, "application/json"),
        ("", "application/json"),
        (" Application/JSON ; charset=utf-8", "application/json"),
        ("application/problem+json", "application/problem+json"),
        ("text/plain;x", "text/plain"),
    ],
)
def test_media_types_are_compared_without_case_and_parameters(value: str | None, essence: str):
    assert media_type(value) == essence


@given(ANY_VALUE | st.builds("application/json;{}".format, ANY_VALUE))
def test_no_content_type_is_an_error_in_itself(value: str):
    assert is_json_content_type(value) in {True, False}
    assert media_type(value) == media_type(media_type(value))


# a hostile client can't keep the parser busy: with a matcher that goes back, these would run for hours


@pytest.mark.parametrize(
    "value",
    [
        "a;" + " " * 30_000 + '"',
        "a" + " " * 30_000 + '"',
        "a" + ";b=c" * 10_000 + '"',
        'a="' + "\\a" * 15_000,
        "," * 30_000 + '"',
        "a" * 30_000 + '"',
    ],
)
def test_long_malformed_headers_are_refused(value: str):
    with pytest.raises(HeaderError):
        prefer(value)
    with pytest.raises(HeaderError):
        parse_idempotency_key(value)
    assert is_json_content_type("application/json;" + value)
