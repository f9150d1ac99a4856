"""Where jobs run: implementations of `lambda_kit.core.ports.executor.Executor`."""
