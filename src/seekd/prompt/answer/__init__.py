"""From generated text to the events of an answer."""
