"""The bridge that brings ROLLER bookings to Stampede."""

__version__ = "1.0.0"
