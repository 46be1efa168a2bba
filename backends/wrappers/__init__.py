"""Wrappers of core.backends.Backend: each is one, over another. `stack` has their order and its reasons."""
