"""The unmodified aistore SDK, and requests that it would not send, against the real process."""
