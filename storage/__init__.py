"""The storage node: mountpaths, their index and blobs, and the commits that change them."""
