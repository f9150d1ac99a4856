from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from fit_line import server


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    async with server:  # a mounted app is not told when the outer one starts and stops
        yield


app = FastAPI(lifespan=lifespan)
app.mount("/tools", server)


@app.get("/")
async def index() -> str:
    return "The tool is at /tools/fit-line"
