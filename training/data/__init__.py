"""Generators of training conversations, one module per family of kinds."""
