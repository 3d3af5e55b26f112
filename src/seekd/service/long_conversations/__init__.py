"""Conversations that do not fit into the context."""
