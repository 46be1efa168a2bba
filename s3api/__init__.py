"""The S3 protocol over any ObjectService: routing, signatures, operations, XML, errors."""
