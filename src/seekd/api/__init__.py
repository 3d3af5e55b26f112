"""ASGI routes, authentication, streaming; no decisions."""
