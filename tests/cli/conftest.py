"""What the command line is tried on."""

from tests.e2e.conftest import here

__all__ = ["here"]
