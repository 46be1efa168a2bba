"""One async function per S3 operation, one module per resource. Each turns a Call into a Response."""
