"""What knows that there may be many nodes: today the embedded control store. Imports core only."""
