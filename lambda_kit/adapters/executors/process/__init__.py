"""`ProcessExecutor`: runs jobs in worker processes, which can be killed."""

from lambda_kit.adapters.executors.process.executor import ProcessExecutor

__all__ = ["ProcessExecutor"]
