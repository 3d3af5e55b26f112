"""Settings of every test."""

from hypothesis import settings

# No deadline: how long an example takes says more of the machine than of the code. The same examples in every run.
settings.register_profile("seekd", deadline=None, derandomize=True)
settings.load_profile("seekd")
