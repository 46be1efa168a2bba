"""The cache in front of backends: an ObjectStore over a local node and a bucket that lives elsewhere."""
