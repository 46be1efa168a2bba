"""The front door and composition root: processes, configuration, ASGI assembly and the object service."""
