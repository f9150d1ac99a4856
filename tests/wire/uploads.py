"""The tools of the tests of uploads, as a service file with a folder for its temporary files."""

from pathlib import Path

from tests.support.shouting_service import service_file

__all__ = ["left_in", "upload_service"]

_TOOLS = '''
import hashlib
from datetime import date
from enum import StrEnum
from uuid import UUID
from lambda_kit import BinaryRequest, JobContext, ToolOptions, UploadedFile
from lambda_kit.adapters.stores.postgres import PostgresJobStore
from lambda_kit.adapters.stores.redis import RedisJobStore

class Colour(StrEnum):
    RED = "red"

class Point(BaseModel):
    x: int

class Form(BaseModel):
    file: UploadedFile
    more: list[UploadedFile] = []
    extra: UploadedFile | None = None
    count: int = 1
    text: str | None = "nothing"
    day: date | None = None
    id: UUID | None = None
    colour: Colour = Colour.RED
    is_on: bool = False
    tags: list[str] = []
    numbers: list[int] = []
    points: list[Point] = []
    point: Point | None = None

def seen(file):
    if file is None:
        return None
    digest = hashlib.sha256(file.read()).hexdigest()
    assert file.path.read_bytes() == file.open().read() and file.path.stat().st_size == file.size
    return {"name": file.filename, "type": file.content_type, "size": file.size, "sha256": digest,
        "suffix": file.path.suffix}

class Look(LambdaTool):
    """Look at files"""

    def run(self, req: Form) -> dict:
        files = {"file": seen(req.file), "more": [seen(file) for file in req.more], "extra": seen(req.extra)}
        return files | req.model_dump(mode="json", exclude={"file", "more", "extra"})

class LookFar(Look):
    """Look at files in a process of its own"""

    options = ToolOptions(executor="process")

class TakeFar(LambdaTool):
    """Take a file of any type in a process of its own"""

    options = ToolOptions(executor="process")

    def run(self, req: BinaryRequest) -> str:
        return f"{req.content_type} {req.filename} {len(req.content)}"

class Hold(LambdaTool):
    """Hold a file until it is cancelled"""

    options = ToolOptions(max_concurrency=1, max_queue=1)

    def run(self, req: Form, ctx: JobContext) -> str:
        import time
        req.file.path
        while not ctx.cancelled:
            ctx.progress(1)
            time.sleep(0.02)
        return "ended"

class Die(LambdaTool):
    """Kill the process"""

    options = ToolOptions(executor="process")

    def run(self, req: Form) -> str:
        req.file.path, [file.path for file in req.more]
        os.kill(os.getpid(), 9)
        return ""

class Fail(LambdaTool):
    """Fail"""

    async def run(self, req: Form) -> str:
        raise RuntimeError(str(req.file.path))
'''


def upload_service(
    folder: Path, *, store: str = "'memory://'", tools: str = "Look, Hold, Fail", options: str = ""
) -> Path:
    """Write the service file."""
    more = f", {options}" if options else ""
    return service_file(folder, body=_TOOLS, tools=tools, options=f"store={store}{more}")


def left_in(folder: Path) -> list[str]:
    """The temporary files in a service's folder: not its lock, nor what it has in the folder beside."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != "lock")
