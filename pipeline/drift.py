"""What a source's messages have in them that differs from what is known of them.

A difference is a name such as "new booking.items.colour string", "missing booking.total" or
"retyped guest.email object": fields and JSON types, and never a value.
"""

from collections.abc import Mapping
from typing import Protocol

from pipeline.model import Event

#: Stands for what has no name that can be told, and for what there is no room for.
OTHERS = "new (others)"

#: Different names of one source that are kept at most.
MOST_NAMES = 200


class Drift(Protocol):
    """Compares a source's messages with what is known of them."""

    def look(self, event: Event) -> None:
        """Look at a message as it came; what is wrong with it as a whole is not told here."""

    def take(self) -> Mapping[str, int]:
        """Give the differences since the last time, and how often each was seen."""
