"""One suite for every implementation of a protocol, and a model that drives them."""
