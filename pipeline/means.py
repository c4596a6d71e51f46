"""What every stage works with, made once and handed to each."""

from msgspec import Struct, field

from pipeline.clock import Clock
from pipeline.gather import Gatherer
from pipeline.log import Log
from pipeline.metrics import Meters
from pipeline.outbox import Outbox


class Means(Struct, frozen=True, kw_only=True):
    """The outbox, what is gathered from it, the time, and the log."""

    outbox: Outbox
    gatherer: Gatherer
    clock: Clock
    log: Log
    meters: Meters = field(default_factory=Meters)
