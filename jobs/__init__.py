"""The background operations and the machinery that runs them. Imports core only."""
