"""Logs what has become of deliveries, one line each."""

from collections.abc import Iterable

from pipeline.log import Log
from pipeline.model import DeliveryState
from pipeline.outbox import Became


def chronicle(log: Log, became: Iterable[Became], *, attempt: int | None = None) -> None:
    """Write down those that have come to an end; `attempt` is the request of the first one."""
    requests = {} if attempt is None else {"attempt": attempt}
    for one in became:
        about: dict[str, object] = {"event": one.event, "delivery": one.delivery, **requests}
        requests = {}
        match one.state:
            case DeliveryState.SUPERSEDED:
                log.info("superseded", **about, by=one.superseded_by)
            case DeliveryState.SKIPPED | DeliveryState.PARKED:
                log.info(one.state.value, **about, reason=one.reason)
            case _:
                pass
