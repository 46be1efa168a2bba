"""The real process tree, killed and damaged under load: what it acknowledged must be there."""
