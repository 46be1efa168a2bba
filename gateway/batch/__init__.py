"""Batches: many objects and members of shards, read ahead side by side and sent as one archive in request order."""
