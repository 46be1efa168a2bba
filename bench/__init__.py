"""Reproducible measurements of weir against its peers: `python -m bench`. Needs `wrk`, and the peers it is given."""
