"""Keeps what the bookings of a source can hold: read from the file once, and then from memory."""

import sqlite3
from collections.abc import Mapping, Sequence

import msgspec

from pipeline.model import Product
from pipeline.outbox.file import Readers
from pipeline.outbox.writer import Writer

#: Rows that are written in one transaction, so that webhooks do not wait for it.
_AT_ONCE = 500

#: The key of the row that tells when all were asked for; no product has it.
_ALL = ""

_KEEP = """
    INSERT INTO subject (source, kind, key, as_of, doc) VALUES (?, 'product', ?, ?, ?)
    ON CONFLICT (source, kind, key) DO UPDATE SET as_of = excluded.as_of, doc = excluded.doc
"""

_encode = msgspec.json.encode
_product = msgspec.json.Decoder(Product)


class SqliteProducts:
    """The products of each source; nobody else writes them."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers
        self._known: dict[str, Mapping[str, Product]] = {}

    async def known(self, source: str) -> Mapping[str, Product]:
        """Give all products that were ever named, by their ids."""
        found = self._known.get(source)
        if found is None:
            # Whoever has written meanwhile knows better.
            found = self._known.setdefault(source, await known_products(self._readers, source))
        return found

    async def fetched_at(self, source: str) -> int | None:
        """Tell when all were asked for last."""
        row = await self._readers.row(
            "SELECT as_of FROM subject WHERE source = ? AND kind = 'product' AND key = ?",
            (source, _ALL),
        )
        return None if row is None else int(row[0])

    async def learn(self, source: str, products: Sequence[Product], *, fetched_at: int) -> int:
        """Write what is new or differs, and at last that all were asked for."""
        before = await self.known(source)
        fresh = {one.id: one for one in products if before.get(one.id) != one}
        keep = [(source, one.id, fetched_at, _encode(one).decode()) for one in fresh.values()]
        keep.append((source, _ALL, fetched_at, "{}"))
        for start in range(0, len(keep), _AT_ONCE):
            await self._keep(keep[start : start + _AT_ONCE])
        self._known[source] = {**before, **fresh}
        return len(fresh)

    async def _keep(self, part: Sequence[tuple[str, str, int, str]]) -> None:
        def unit(connection: sqlite3.Connection) -> None:
            connection.executemany(_KEEP, part)

        await self._writer.do(unit)


async def known_products(readers: Readers, source: str) -> dict[str, Product]:
    """Read all products of a source from the file."""
    found = await readers.rows(
        """SELECT doc FROM subject
           WHERE source = ? AND kind = 'product' AND key > '' AND doc IS NOT NULL""",
        (source,),
    )
    return {one.id: one for one in (_product.decode(row[0]) for row in found)}
