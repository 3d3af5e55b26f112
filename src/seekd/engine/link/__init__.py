"""The engine in a process of its own: its supervisor, its messages, its loop."""
