"""The native API: AIStore's HTTP interface under /v1, over the same object service as S3."""
