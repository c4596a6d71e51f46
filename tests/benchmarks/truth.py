"""Random histories of two venues that share guests, on a virtual clock: takes some minutes."""

import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings

from tests.benchmarks.table import Line
from tests.simulation.history import play
from tests.simulation.steps import Case, cases

_HISTORIES = 2000


def measure(_: Path) -> list[Line]:
    """Play them, and count those that end in anything but the newest truth."""
    wrong: list[Case] = []
    begun = time.process_time()

    @settings(
        max_examples=_HISTORIES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases())
    def each(case: Case) -> None:
        if play(case):
            wrong.append(case)

    each()
    rate = _HISTORIES / (time.process_time() - begun)
    return [
        Line(what="histories per second of processor time", measured=f"{rate:.0f}"),
        Line(
            what=f"of {_HISTORIES} random histories, not ending in the newest truth",
            measured=f"{len(wrong)}",
            target="0",
            met=not wrong,
        ),
    ]
