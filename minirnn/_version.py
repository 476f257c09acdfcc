"""The version of minirnn, in one place."""

__version__ = "0.1.0"
