"""The operations of the native API, by resource. Each module has ROWS, which gateway.native.routes gathers."""
