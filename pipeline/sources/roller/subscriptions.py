"""Judges a ROLLER venue's webhook subscriptions: ours should be there, and the only one."""

from collections.abc import Iterator, Sequence
from urllib.parse import SplitResult, urlsplit

from msgspec import Struct

from pipeline.errors import Unreadable
from pipeline.findings import Finding, failed, ok, warning
from pipeline.redact import printable
from pipeline.sources.roller.settings import RollerSettings
from pipeline.sources.roller.webhooks import Webhook, host, read_listing
from pipeline.subscription import Look, Mend, Subscription, WebhookState, Whose

_WHAT = "webhooks"
_PORTS = {"http": 80, "https": 443}


def judge_subscriptions(
    status: int, body: bytes, source: str, settings: RollerSettings, url: str | None = None
) -> Look:
    """Tell what an answer of `GET /webhooks` means for this source, which listens at `url`.

    Without it, at `public_url`; without that too, at whatever address has our path or our key.
    """
    try:
        listing = read_listing(status, body)
    except Unreadable as exc:
        return Look(
            state=WebhookState.UNKNOWN, finding=warning(_WHAT, str(exc), "ask ROLLER for it")
        )
    return _Judge(source, settings, url).look(listing.webhooks, is_whole=listing.is_whole)


class _Verdict(Struct, frozen=True, kw_only=True):
    """What is to be said of ours."""

    state: WebhookState
    finding: Finding
    mend: Mend | None


class _Judge:
    """Looks at one list, for one source."""

    def __init__(self, source: str, settings: RollerSettings, url: str | None) -> None:
        self._source = source
        self._settings = settings
        self._target = url or settings.webhook_url(source)
        self._path = f"/webhooks/{source}"
        self._keys = [key.reveal() for key in settings.webhook_key]

    def look(self, found: Sequence[Webhook], *, is_whole: bool) -> Look:
        """Judge all of them."""
        whose = [(one, self._whose(one)) for one in found]
        ours = sorted((one for one, is_ in whose if is_ is Whose.OURS), key=self._rank)
        verdict = self._judge(ours[0]) if ours else self._none(is_whole=is_whole)
        return Look(
            state=verdict.state,
            finding=verdict.finding,
            warnings=(*self._surplus(ours[1:]), *_strangers(whose)),
            subscriptions=tuple(self._shown(one, is_) for one, is_ in whose),
            mend=verdict.mend,
        )

    def _whose(self, one: Webhook) -> Whose:
        parts, target = _split(one.url), _split(self._target or "")
        has_key = one.key in self._keys
        if parts is None:
            return Whose.OTHER
        path = parts.path.rstrip("/")
        is_here = target is not None and _origin(parts) == _origin(target)
        if target is not None:
            is_ours = is_here and path == target.path.rstrip("/")
        else:
            is_ours = path.endswith(self._path) or (has_key and "/webhooks/" not in path)
        if is_ours:
            return Whose.OURS
        is_stray = has_key or path.endswith(self._path) or (is_here and "/webhooks/" in path)
        return Whose.STRAY if is_stray else Whose.OTHER

    def _shown(self, one: Webhook, whose: Whose) -> Subscription:
        """Show where it sends to; of an address that is not known to be ours, the host."""
        parts, url = _split(one.url), host(one.url)
        if (
            parts is not None
            and whose is Whose.OURS
            and parts.path.rstrip("/").endswith(self._path)
        ):
            url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        return Subscription(
            id=one.id, url=printable(url), enabled=one.is_on, whose=whose, events=one.events
        )

    def _rank(self, one: Webhook) -> tuple[bool, bool, bool]:
        """Order ours: first the one that works best."""
        return not one.is_on, not self._has_key(one), one.key != self._keys[0]

    def _has_key(self, one: Webhook) -> bool:
        return one.key is None or one.key in self._keys

    def _none(self, *, is_whole: bool) -> _Verdict:
        mend = Mend(webhook=None, url=self._target) if self._target else None
        if not is_whole:
            note = "ROLLER names one webhook only, and it is not ours: there may be others"
            advice = "compare with `pipeline webhooks list`, and ask ROLLER for the whole list"
            found = warning(_WHAT, note, advice)
            return _Verdict(state=WebhookState.UNKNOWN, finding=found, mend=mend)
        advice = self._register("makes one")
        found = warning(_WHAT, "none sends booking events here, so nothing will arrive", advice)
        return _Verdict(state=WebhookState.MISSING, finding=found, mend=mend)

    def _register(self, does: str = "sets it right") -> str:
        """Say which command does it, and what that lacks."""
        command = f"`pipeline webhooks register` {does}"
        if self._target:
            return command
        return f"set sources.{self._source}.public_url to https://YOUR-HOST; then {command}"

    def _judge(self, one: Webhook) -> _Verdict:
        if not one.is_on:
            advice = f"see that it can be reached; {self._register()}"
            found = failed(_WHAT, f"{one} is disabled: nothing arrives", advice)
            return self._verdict(WebhookState.DISABLED, found, one)
        if not self._has_key(one):
            found = failed(
                _WHAT,
                f"{one} sends a key that is not sources.{self._source}.webhook_key: each is "
                "answered 503",
                f"set webhook_key to its authentication.apiKey; or {self._register()}",
            )
            return self._verdict(WebhookState.DIFFERS, found, one)
        if one.url.endswith("/"):
            note = f"{one} sends to an address with a slash at its end: each is answered 503"
            return self._verdict(WebhookState.DIFFERS, failed(_WHAT, note, self._register()), one)
        if lacking := one.lacking():
            found = warning(_WHAT, f"{one} leaves out {'; '.join(lacking)}", self._register())
            return self._verdict(WebhookState.DIFFERS, found, one)
        found = ok(_WHAT, f"{one} sends all that is needed here")
        # With the key that is to go it works as well; only whoever asks for it has it replaced.
        is_last = one.key in self._keys[1:]
        return self._verdict(WebhookState.REGISTERED, found, one if is_last else None)

    def _surplus(self, ours: Sequence[Webhook]) -> Iterator[Finding]:
        """Warn of all of ours but the one that is kept."""
        for one in ours:
            told = "so each booking arrives more than once"
            if not one.is_on:
                told = "and switched off"
            elif not self._has_key(one):
                told = "and its key is refused here"
            yield warning(_WHAT, f"{one} is one of ours too many, {told}", _delete(one))

    def _verdict(self, state: WebhookState, found: Finding, one: Webhook | None) -> _Verdict:
        mend = None
        # Where we do not know our address, a key of ours shows that this one is.
        if one is not None and one.id is not None and (self._target or one.key in self._keys):
            mend = Mend(webhook=one.id, url=self._target or one.url.rstrip("/"))
        return _Verdict(state=state, finding=found, mend=mend)


def _strangers(whose: Sequence[tuple[Webhook, Whose]]) -> Iterator[Finding]:
    """Warn of what is on and not ours; others' for other things than bookings double nothing."""
    for one, is_ in whose:
        if one.is_on and is_ is Whose.STRAY:
            yield warning(
                _WHAT,
                f"{one} looks like this pipeline's and sends to another address or source",
                f"if nothing needs it any more: {_delete(one)}",
            )
        elif one.is_on and is_ is Whose.OTHER and one.events.get("booking"):
            yield warning(
                _WHAT,
                f"{one} is not ours and gets booking events too",
                "if it feeds Stampede (as Stampede's own integration does), each visit counts "
                f"twice: switch that off there, and {_delete(one)}",
            )


def _delete(one: Webhook) -> str:
    return printable(f"`pipeline webhooks delete {one.id}`")


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts if parts.hostname else None


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
