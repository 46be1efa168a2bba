"""Bearer tokens (JWT): reading, verifying, issuing and revoking them, and the keys of their issuers."""
