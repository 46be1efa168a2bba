"""Tests of weir: unit and contract tests in process, s3compat, native and crash tests against real processes."""
