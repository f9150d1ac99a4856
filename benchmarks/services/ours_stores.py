"""lambda_kit with its jobs kept in the store that the command line names."""

import argparse

from benchmarks.services.ours import EchoAsync, EchoSync, service
from benchmarks.services.store_places import store_at
from lambda_kit import ToolServer


def main() -> None:
    """Serve the echoes; `--kept-in PLACE` says where their jobs are."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--kept-in", default="memory")
    own, others = parser.parse_known_args()
    ToolServer(service, tools=[EchoSync, EchoAsync], store=store_at(own.kept_in)).serve(others)


if __name__ == "__main__":
    main()
