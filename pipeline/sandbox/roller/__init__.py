"""The simulated ROLLER."""

from pipeline.sandbox.roller.app import roller_app

__all__ = ["roller_app"]
