"""Reads the body of a webhook: within a time, up to a size, unpacked.

aiohttp could unpack by itself, but goes on doing so with what nobody reads: 10 MB of zeros, packed,
from a stranger, stopped the event loop for seconds.
"""

import asyncio
import zlib

from aiohttp import hdrs, web
from msgspec import Struct

from pipeline.listener import Refusal

_PLAIN = {"", "identity"}
_PACKED = {"gzip", "x-gzip", "deflate"}


class Body(Struct, frozen=True, kw_only=True):
    """What came, or the beginning of it."""

    data: bytes
    #: False when it was cut.
    whole: bool


class BodyReader:
    """Reads bodies; those that are still on their way can be given up all at once.

    `timeout` is in seconds: aiohttp by itself waits for ever for a body that was announced.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._waiting: set[asyncio.Timeout] = set()

    def close(self) -> None:
        """Wait for no body any longer."""
        for waiting in self._waiting:
            waiting.reschedule(0)

    async def read(self, request: web.BaseRequest, most: int) -> Body:
        """Read a body and keep `most` bytes of it; Refusal when it does not come.

        What says that it is packed and cannot be unpacked is given as it came.
        """
        content = request.content
        # As a rule it came together with its header, and then a time limit is costly to set up.
        data = content.read_nowait() if content.is_eof() else await self._wait_for(request, most)
        encoding = request.headers.get(hdrs.CONTENT_ENCODING)
        if encoding is not None and (encoding := encoding.strip().lower()) not in _PLAIN:
            if encoding not in _PACKED:
                raise Refusal("its Content-Encoding is not known")
            return _unpacked(data, most)
        if len(data) <= most:
            return Body(data=data, whole=True)
        return Body(data=data[:most], whole=False)

    async def _wait_for(self, request: web.BaseRequest, most: int) -> bytes:
        """Collect a body until its end or until there is more than `most` of it."""
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._timeout) as waiting:
                self._waiting.add(waiting)
                try:
                    while size <= most and (chunk := await request.content.readany()):
                        chunks.append(chunk)
                        size += len(chunk)
                finally:
                    self._waiting.discard(waiting)
        except TimeoutError:
            raise Refusal("the body did not come in time") from None
        return b"".join(chunks)


def _unpacked(packed: bytes, most: int) -> Body:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # of gzip and deflate, whichever it is
    try:
        data = unpacker.decompress(packed, most + 1)
    except zlib.error:
        data = b""
    if len(data) > most:
        return Body(data=data[:most], whole=False)
    if unpacker.eof and not unpacker.unused_data:
        return Body(data=data, whole=True)
    return Body(data=packed[:most], whole=len(packed) <= most)
