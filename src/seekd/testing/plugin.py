"""pytest fixtures for programs that use seekd."""
