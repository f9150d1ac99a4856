"""Where jobs run: implementations of `lambda_kit.core.executor.Executor`."""
