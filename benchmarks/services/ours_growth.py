"""lambda_kit with much of everything: jobs that are kept, tools that are served, requests that wait."""

import argparse
import asyncio

from benchmarks.services.models import EchoRequest, EchoResult, SleepRequest, SleepResult
from benchmarks.services.ours import EchoAsync, EchoSync, service
from lambda_kit import ExecutorOpts, LambdaTool, ToolOptions, ToolServer


class Hold(LambdaTool):
    """Sleep for a while"""

    path = "/hold"

    async def run(self, req: SleepRequest) -> SleepResult:
        await asyncio.sleep(req.seconds)
        return SleepResult(slept=req.seconds, token=req.token)


def one_more(number: int) -> type[LambdaTool]:
    """A tool that nobody calls."""

    class More(LambdaTool):
        """Echo a message"""

        path = f"/more-{number}"
        name = f"more_{number}"

        async def run(self, req: EchoRequest) -> EchoResult:
            return EchoResult(echo=req.message)

    return More


def main() -> None:
    """Serve; `--kept N`: finished echo jobs that are kept, `--tools N`: tools in all, at least three."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--kept", type=int, default=1)
    parser.add_argument("--tools", type=int, default=3)
    own, others = parser.parse_known_args()

    class EchoKept(EchoAsync):
        """Echo a message"""

        options = ToolOptions(executor_opts=ExecutorOpts(job_cache_size=own.kept))

    tools = [EchoSync, EchoKept, Hold]
    ToolServer(service, tools=[*tools, *(one_more(number) for number in range(own.tools - len(tools)))]).serve(others)


if __name__ == "__main__":
    main()
