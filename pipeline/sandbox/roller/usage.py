"""Counts a venue's calls per calendar month, as the vendor's contracts do."""

from collections import Counter
from datetime import datetime

from pipeline.sandbox.answers import Document

#: These have a second word that tells endpoints apart, the others a parameter.
_TWO_WORDS = ("data", "venues")


class Usage:
    """Every call counts, a refused one too; the vendor shows the numbers per endpoint.

    A month is one of UTC here; whose midnight counts with the vendor is not known.
    """

    def __init__(self) -> None:
        self._calls: Counter[tuple[str, str]] = Counter()

    def count(self, at: datetime, method: str, path: str) -> int:
        """Counts a call; returns how many the month has by now."""
        month = _month(at)
        self._calls[month, f"{method} {_endpoint(path)}"] += 1
        return self.of(at)

    def of(self, at: datetime) -> int:
        """The calls of that month."""
        month = _month(at)
        return sum(calls for (when, _), calls in self._calls.items() if when == month)

    def state(self) -> Document:
        """Month to endpoint to calls."""
        months: dict[str, dict[str, int]] = {}
        for (month, endpoint), calls in sorted(self._calls.items()):
            months.setdefault(month, {})[endpoint] = calls
        return dict(months)


def _month(at: datetime) -> str:
    return f"{at:%Y-%m}"


def _endpoint(path: str) -> str:
    words = path.strip("/").split("/")
    return "/" + "/".join(words[: 2 if words[0] in _TWO_WORDS else 1])
