"""The promises of a job store, by topic. `lambda_kit.testing.JobStoreContract` has them all."""
