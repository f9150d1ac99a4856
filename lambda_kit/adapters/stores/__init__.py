"""Where jobs are kept: implementations of `lambda_kit.core.ports.store.JobStore`."""
