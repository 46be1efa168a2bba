"""Archives in the store: their formats, their members, their indexes."""
