"""seekd: the DeepSeek Chat API on your own machines."""

from importlib.metadata import version

__version__ = version("seekd")
