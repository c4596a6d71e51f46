"""Stampede: guests, bookings and tags of https://global.stampede.ai/."""

from pipeline.destinations.stampede.client import Stampede
from pipeline.destinations.stampede.settings import StampedeSettings

__all__ = ["Stampede", "StampedeSettings"]
