"""Conversation to token segments, generated text to protocol events."""
