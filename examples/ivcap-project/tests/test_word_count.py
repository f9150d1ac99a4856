"""The tool without a server, and the requests of this folder as a client sends them."""

import asyncio
import json
from pathlib import Path

import pytest
from word_count import Request, Result, WordCount, server

from lambda_kit import JobFailedError
from lambda_kit.testing import TestClient

REQUESTS = Path(__file__).parent


def test_words_are_counted_without_case_and_punctuation() -> None:
    result: Result = asyncio.run(server.run_tool(WordCount, Request(text="A rose is a rose.", top=1)))
    assert result == Result(words=5, most_frequent={"a": 2})


def test_a_text_and_an_artifact_are_one_too_many() -> None:
    with pytest.raises(JobFailedError, match="either"):
        asyncio.run(server.run_tool(WordCount, json.loads((REQUESTS / "both.json").read_text())))


def test_the_service_answers_the_example() -> None:
    with TestClient(server) as client:
        answer = client.post("/", content=(REQUESTS / "hamlet.json").read_bytes())
    assert answer.json() == {"words": 10, "most_frequent": {"to": 2, "be": 2}}
