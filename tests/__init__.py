"""Tests of weir: unit and contract tests in process, s3compat and crash tests against real processes."""
