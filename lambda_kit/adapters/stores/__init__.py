"""Where jobs are kept: implementations of `lambda_kit.core.store.JobStore`."""
