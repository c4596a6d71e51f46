"""The simulated Stampede."""

from pipeline.sandbox.stampede.app import stampede_app

__all__ = ["stampede_app"]
