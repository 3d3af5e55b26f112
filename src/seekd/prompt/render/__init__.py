"""From a conversation to the segments of a prompt."""
