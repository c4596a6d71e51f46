"""Lists, makes, changes and deletes the webhook subscriptions of a ROLLER venue."""

from typing import Protocol
from urllib.parse import quote, urlsplit

from pipeline.errors import Failure, Reject
from pipeline.findings import failed
from pipeline.plugin import Reply
from pipeline.settings import Url
from pipeline.sources.roller.failures import failure
from pipeline.sources.roller.permission import FORBIDDEN, forbidden
from pipeline.sources.roller.settings import RollerSettings, unreachable
from pipeline.sources.roller.subscriptions import judge_subscriptions
from pipeline.sources.roller.webhooks import read_webhook, write_webhook
from pipeline.subscription import Look, Mend, Mended, WebhookId, WebhookState

_OK = 200
_CREATED = 201
_NO_CONTENT = 204
_NOT_FOUND = 404
_DONE = {_OK, _CREATED, _NO_CONTENT}
_PATH = "/webhooks"


class Peer(Protocol):
    """What is needed of the client."""

    async def ask(self, path: str, *, method: str = "GET", body: bytes | None = None) -> Reply:
        """Ask, and give any answer but a 401."""


class Subscriber:
    """The webhooks of one venue."""

    def __init__(self, source: str, settings: RollerSettings, peer: Peer) -> None:
        self._source = source
        self._settings = settings
        self._peer = peer

    def address(self, url: str | None = None) -> str:
        """Give `url`, or else `public_url`, with our path; Failure when ROLLER cannot send there.

        The path may stand in `url` already.
        """
        where = f"sources.{self._source}"
        if url is None:
            configured = self._settings.webhook_url(self._source)
            if configured is None:
                raise Failure(f"set {where}.public_url, or give --url: where is this reached?")
            return configured
        try:
            base = str(Url.parse(url))
        except ValueError as exc:
            raise Failure(str(exc)) from exc
        if problem := unreachable(base, self._settings.base_url):
            raise Failure(problem)
        before, found, source = base.rpartition(f"{_PATH}/")
        if not found:
            return f"{base}{_PATH}/{self._source}"
        if source != self._source or _PATH in urlsplit(before).path:
            raise Failure(f"{base} is not where {where} listens: {_PATH}/{self._source}")
        return base

    async def look(self, url: str | None = None) -> Look:
        """Ask `GET /webhooks`; a key that may not ask gives a state that is not known."""
        reply = await self._peer.ask(_PATH)
        if reply.status == FORBIDDEN:
            called = f"GET {_PATH}"
            found = failed(called, *forbidden(reply, called))
            return Look(state=WebhookState.UNKNOWN, finding=found)
        if reply.status not in {_OK, _NO_CONTENT, _NOT_FOUND}:
            raise failure(reply, _PATH)
        return judge_subscriptions(reply.status, reply.body, self._source, self._settings, url)

    async def mend(self, mend: Mend) -> Mended:
        """Ask `POST`, or `PUT` for one that is there, with all that is ours and the first key.

        A key is so replaced in one step, and the listener takes both: nothing is refused meanwhile.
        """
        body = write_webhook(mend.url, self._settings.webhook_key[0])
        if mend.webhook is None:
            reply = await self._write("POST", _PATH, body)
        else:
            reply = await self._write("PUT", _one(mend.webhook), body)
        kept = read_webhook(reply.body)
        if kept is None:
            return Mended(webhook=mend.webhook)
        number = mend.webhook if kept.id is None else kept.id
        note = "" if kept.is_on else "ROLLER keeps it switched off"
        if kept.types and (lacking := kept.lacking()):
            note = f"ROLLER keeps it without {'; '.join(lacking)}"
        return Mended(webhook=number, note=note)

    async def delete(self, webhook: WebhookId) -> bool:
        """Ask `DELETE /webhooks/{webhookId}`."""
        reply = await self._peer.ask(_one(webhook), method="DELETE")
        if reply.status == _NOT_FOUND:
            return False
        self._check(reply, "DELETE", _one(webhook))
        return True

    async def _write(self, method: str, path: str, body: bytes) -> Reply:
        reply = await self._peer.ask(path, method=method, body=body)
        self._check(reply, method, path)
        return reply

    def _check(self, reply: Reply, method: str, path: str) -> None:
        if reply.status == FORBIDDEN:
            raise Reject(": ".join(forbidden(reply, f"{method} {_PATH}")))
        if reply.status not in _DONE:
            raise failure(reply, path)


def _one(webhook: WebhookId) -> str:
    return f"{_PATH}/{quote(str(webhook), safe='')}"
