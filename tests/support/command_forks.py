"""Runs service files to their end, each in a fork of this process, which has imported what all of them need.

`run_to_end` starts it, once. What a service imports takes 0.8 s of a processor, a fork next to nothing. None of that
is ours: each fork imports lambda_kit and the service file for itself, as ``python FILE ARGS`` does.

Reads a line of JSON for each command: the file, its arguments, where to run it, its environment. Writes one with its
exit code, stdout and stderr.
"""

import importlib
import json
import os
import runpy
import sys
import tempfile
from pathlib import Path
from typing import Any

_IMPORTED = ("ivcap_service", "litestar", "litestar.openapi.plugins", "msgspec", "pydantic", "uvicorn", "yaml")


def main() -> None:
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    for name in _IMPORTED:
        importlib.import_module(name)
    own_path = sys.path[1:]
    for line in requests:
        request = json.loads(line)
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            process = os.fork()
            if process == 0:
                requests.close()
                answers.close()
                _become(request, own_path, output.fileno(), errors.fileno())
                runpy.run_path(request["file"], run_name="__main__")
                return
            _, status = os.waitpid(process, 0)
            texts = []
            for file in (output, errors):
                file.seek(0)
                texts.append(file.read().decode())
        answers.write(json.dumps([os.waitstatus_to_exitcode(status), *texts]) + "\n")
        answers.flush()


def _become(request: dict[str, Any], own_path: list[str], output: int, errors: int) -> None:
    """Make this process look to the file like one that was started for it."""
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(output, 1)
    os.dup2(errors, 2)
    os.chdir(request["cwd"])
    environment = request["env"]
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [request["file"], *request["args"]]
    given = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]
    sys.path[:] = [str(Path(request["file"]).parent), *given, *(part for part in own_path if part not in given)]


if __name__ == "__main__":
    main()
