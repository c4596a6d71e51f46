"""Asks ROLLER for its products."""

from collections.abc import Sequence
from typing import Protocol

from pipeline.errors import Reject
from pipeline.model import Product
from pipeline.plugin import Reply
from pipeline.sources.roller.drift import RollerDrift
from pipeline.sources.roller.failures import failure
from pipeline.sources.roller.permission import FORBIDDEN
from pipeline.sources.roller.products import read_products

_OK = 200
_PATH = "/products"

#: Bytes of the list: a venue may have thousands, each with its description.
_LONGEST = 16 * 1_048_576


class _Peer(Protocol):
    async def ask(self, path: str, *, longest: int) -> Reply: ...


class RollerCatalogue:
    """The products of one ROLLER venue."""

    def __init__(self, peer: _Peer, every: float, drift: RollerDrift) -> None:
        self.every = every
        self._drift = drift
        self._peer = peer

    async def fetch_products(self) -> Sequence[Product]:
        """Ask `GET /products`, which names all of them at once."""
        reply = await self._peer.ask(_PATH, longest=_LONGEST)
        if reply.status == FORBIDDEN:
            # It keeps no event from its way, so it is not the source's trouble as a whole.
            msg = f"ROLLER answered 403 to {_PATH}: the API key lacks the permission for it"
            raise Reject(msg)
        if reply.status != _OK:
            raise failure(reply, _PATH)
        self._drift.products(reply.body)
        return read_products(reply.body)
