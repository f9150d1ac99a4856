"""The promises of an executor, by topic. `lambda_kit.testing.ExecutorContract` has them all."""
