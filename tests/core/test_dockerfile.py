"""The command of a container is read from its Dockerfile as Docker reads it."""

import pytest

from lambda_kit.core.tools.dockerfile import entrypoint


@pytest.mark.parametrize(
    "dockerfile",
    [
        'FROM python\nENTRYPOINT ["python", "service.py"]\n',
        'from python\nentrypoint ["python", "service.py"]\n',
        '  ENTRYPOINT   [ "python" , "service.py" ]',
        "ENTRYPOINT ['python', 'service.py']",
        'ENTRYPOINT ["python", \\\n    # the file\n\n    "service.py"]\nCMD ["--port", "80"]',
        'ENTRYPOINT ["old"]\nENTRYPOINT ["python", "service.py"]',
        'FROM a AS build\nENTRYPOINT ["make"]\nFROM b\nENTRYPOINT ["python", "service.py"]',
        '# ENTRYPOINT ["no"]\nENTRYPOINT ["python", "service.py"]',
        'RUN echo \\\n  ENTRYPOINT ["no"]\nENTRYPOINT ["python", "service.py"]',
        'ENTRYPOINT ["python", "service.py"]\r\nCMD []\r\n',
    ],
)
def test_the_words_are_those_of_the_last_entrypoint_of_the_last_stage(dockerfile: str) -> None:
    assert entrypoint(dockerfile) == ["python", "service.py"]


@pytest.mark.parametrize(
    "dockerfile", ["", "FROM python\n", 'FROM a\nENTRYPOINT ["make"]\nFROM b\nCMD ["x"]', "ENTRYPOINTS [1]"]
)
def test_there_may_be_none(dockerfile: str) -> None:
    assert entrypoint(dockerfile) is None


@pytest.mark.parametrize("text", ["python service.py", "[1, 2]", "[]", '["unclosed"', "[" * 10_000])
def test_what_is_no_list_of_strings_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a list of strings"):
        entrypoint(f"ENTRYPOINT {text}")
