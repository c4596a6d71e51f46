"""What a source can do that knows its products: name them all."""

from collections.abc import Sequence
from typing import Protocol

from pipeline.model import Product


class Catalogue(Protocol):
    """The products of one source."""

    @property
    def every(self) -> float:
        """Seconds between two readings, as it is configured."""

    async def fetch_products(self) -> Sequence[Product]:
        """Ask for all products as they are now; Reject when it may not be asked, or says none."""
