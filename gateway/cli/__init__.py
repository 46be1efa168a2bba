"""The `weir` command: one module per group of subcommands, imported only when it runs."""
