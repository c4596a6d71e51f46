"""ROLLER: the ticketing of https://roller.app/, one set of credentials per venue."""

from pipeline.sources.roller.client import Roller
from pipeline.sources.roller.settings import RollerSettings

__all__ = ["Roller", "RollerSettings"]
