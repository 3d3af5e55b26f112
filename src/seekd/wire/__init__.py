"""Bodies to requests, events to bytes, errors to statuses."""
