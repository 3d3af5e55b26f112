"""Exact repeats are answered without the model."""
