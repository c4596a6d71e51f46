"""What the command line is tried on."""

import pytest

from tests.cli.desk import Desk
from tests.e2e.conftest import here
from tests.e2e.watching import at_home
from tests.e2e.world import World

__all__ = ["here"]


@pytest.fixture
def desk(here: World, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A configuration that says where ROLLER is to send to."""
    at_home(here)
    return Desk(here, capsys)
