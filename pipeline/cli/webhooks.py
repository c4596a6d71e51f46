"""`pipeline webhooks`: what ROLLER sends where, and that it sends here."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from pipeline.cli.common import (
    EXIT_FAILED,
    EXIT_UNAVAILABLE,
    Commands,
    add_command,
    agreed,
    complain,
    configuration,
    console,
    print_json,
    table,
)
from pipeline.cli.peers import Peers, at_once, open_peers
from pipeline.client import call
from pipeline.clock import iso
from pipeline.config import Config
from pipeline.errors import Failure, PipelineError, Reject, Unreachable
from pipeline.lookout import Missed
from pipeline.outbox.sqlite import open_webhooks
from pipeline.plugin import Source
from pipeline.subscription import Look, Mend, Subscription, Subscriptions, WebhookState, Whose

_T = TypeVar("_T")

_WHOSE = {Whose.OURS: "ours", Whose.STRAY: "ours, elsewhere", Whose.OTHER: "somebody else's"}

_LIST = "Shows all webhooks that ROLLER has for each source, with a warning of what does harm."
_REGISTER = """\
Has ROLLER send bookings, customers, redemptions and signed waivers to public_url/webhooks/SOURCE,
with the first webhook_key. Where that is so, nothing is done; one of ours that differs or is
switched off is set right, and what it may have missed is asked for by the daemon, once it runs. One
that is switched off or missing the running daemon sets right by itself, within the hour.

To change the key without losing a message: webhook_key = [NEW, OLD], restart the daemon, register,
take OLD out, restart.
"""
_DELETE = "Deletes a webhook, ours or not; `list` shows the ids. Asks first."


class Listed(Struct, frozen=True, kw_only=True):
    """What one source has."""

    state: WebhookState
    note: str | None
    webhooks: Sequence[Subscription]


class Listing(Struct, frozen=True, kw_only=True):
    """The document that --json prints."""

    sources: Mapping[str, Listed]
    #: By source: why it could not be asked.
    problems: Mapping[str, str]
    requests: Mapping[str, int]


class _Seen(Struct, frozen=True, kw_only=True):
    """What a running daemon answers when it has looked."""

    webhook: str
    note: str | None


def add(commands: Commands) -> None:
    """Add the command."""
    summary = "see, make and delete the webhooks at ROLLER"
    made = add_command(commands, "webhooks", summary, "Lists, makes and deletes ROLLER's webhooks.")
    actions = made.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = _add(actions, "list", "show all webhooks", _LIST, _list)
    listing.add_argument("--json", action="store_true", help="print one JSON document")
    register = _add(actions, "register", "have ROLLER send what is needed", _REGISTER, _register)
    register.add_argument(
        "--url", help="in place of public_url, with or without /webhooks/SOURCE at its end"
    )
    delete = _add(actions, "delete", "delete one", _DELETE, _delete)
    delete.add_argument("id", metavar="ID", help="as `list` shows it")
    delete.add_argument("--yes", action="store_true", help="do not ask")


def _add(
    actions: Commands,
    name: str,
    summary: str,
    about: str,
    run: Callable[["_Desk"], Awaitable[int]],
) -> argparse.ArgumentParser:
    made = add_command(actions, name, summary, about, within=True)
    made.add_argument("--source", metavar="NAME", help="only this source (default: all)")
    made.set_defaults(command=lambda options: asyncio.run(_run(options, run)))
    return made


async def _run(options: argparse.Namespace, run: Callable[["_Desk"], Awaitable[int]]) -> int:
    config = configuration(options)
    names = list(config.sources) if options.source is None else [options.source]
    if not config.sources.keys() >= set(names):
        known = ", ".join(config.sources)
        raise PipelineError(f"there is no source {options.source}; there is {known}")
    async with open_peers(config) as peers:
        return await run(_Desk(config, options, peers, names))


class _Desk:
    """The sources that a command is about, and the way to them."""

    def __init__(
        self, config: Config, options: argparse.Namespace, peers: Peers, names: Sequence[str]
    ) -> None:
        self.config = config
        self.options = options
        self.peers = peers
        self.names = names

    async def ask(self, name: str, what: Callable[[Subscriptions], Awaitable[_T]]) -> _T:
        """Ask one source."""
        return await self.peers.ask_source(name, lambda source: what(_of(source)))

    async def look(self) -> tuple[dict[str, Look], dict[str, Failure]]:
        """Ask all of them, side by side."""
        found = await at_once([partial(self._look, name) for name in self.names])
        looks, failures = {}, {}
        for name, one in zip(self.names, found, strict=True):
            if isinstance(one, Failure):
                failures[name] = one
            else:
                looks[name] = one
        return looks, failures

    async def _look(self, name: str) -> Look | Failure:
        try:
            return await self.ask(name, lambda one: one.look())
        except Failure as exc:
            return exc


async def _list(desk: _Desk) -> int:
    looks, failures = await desk.look()
    listing = Listing(
        sources={
            name: Listed(state=look.state, note=look.note, webhooks=look.subscriptions)
            for name, look in looks.items()
        },
        problems={f"sources.{name}": exc.reason for name, exc in failures.items()},
        requests=desk.peers.requests,
    )
    if desk.options.json:
        print_json(listing)
        return _failed(failures)
    _print(console(), listing)
    for name, look in looks.items():
        _warn(name, look)
    return _failed(failures)


def _print(out: Console, listing: Listing) -> None:
    shown = table("source", "id", "sends to", "on", "whose", "what")
    for name, source in listing.sources.items():
        for one in source.webhooks:
            what = "; ".join(f"{kind} {', '.join(names)}" for kind, names in one.events.items())
            on = "yes" if one.enabled else "no"
            row = (name, str(one.id), one.url, on, _WHOSE[one.whose], what)
            shown.add_row(*map(escape, row))
    if shown.rows:
        out.print(shown)
    elif not listing.problems:
        out.print("There are no webhooks.")
    for name, source in listing.sources.items():
        if source.note:
            told = f"{name}: {source.state}: {source.note}"
            out.print(f"[yellow]![/] {escape(told)}", soft_wrap=True)


async def _register(desk: _Desk) -> int:
    """Register one after the other, so that what is said of each stays together."""
    failures = {}
    for name in desk.names:
        try:
            await _register_one(desk, name)
        except Failure as exc:
            failures[name] = exc
    return _failed(failures)


async def _register_one(desk: _Desk, name: str) -> None:
    """Look, and do the one thing that is lacking; Failure when that cannot be."""
    address = _of(desk.peers.sources[name]).address(desk.options.url)
    look = await desk.ask(name, lambda one: one.look(address))
    if look.mend is not None:
        await _set_right(desk, name, look, look.mend)
    elif look.state is WebhookState.REGISTERED:
        _say(f"{name}: ROLLER sends to {address}, nothing had to be done")
    else:
        raise Reject(look.note or "")
    _warn(name, look)
    await _have_it_seen(desk, name)


async def _set_right(desk: _Desk, name: str, look: Look, mend: Mend) -> None:
    """Do what is lacking, and have read what was missed meanwhile."""
    since = None
    if look.state is not WebhookState.REGISTERED:
        since = await _note_the_gap(desk, name)
    done = await desk.ask(name, lambda one: one.mend(mend))
    if mend.webhook is None:
        _say(f"{name}: registered webhook {done.webhook}, ROLLER sends to {mend.url}")
    else:
        _say(f"{name}: set webhook {mend.webhook} right: ROLLER sends to {mend.url}")
    if since:
        when = "" if desk.peers.is_running else " once the daemon runs"
        told = f"ROLLER is asked for what changed since {since}{when}: see `pipeline status`"
        _say(f"{name}: {told}")
    if done.note:
        complain(f"warning: {name}: {done.note}")


async def _note_the_gap(desk: _Desk, name: str) -> str | None:
    """Have it kept that webhooks may be missing, before nobody can see it any more; give the time.

    The daemon, or its next start, asks ROLLER for what they would have told since.
    """
    try:
        return await _missed(desk, name)
    except (PipelineError, OSError, msgspec.DecodeError) as exc:
        complain(f"warning: {name}: that webhooks may be missing could not be noted: {exc}")
        complain("  `pipeline reconcile` asks ROLLER for what they would have told.")
        return None


async def _missed(desk: _Desk, name: str) -> str | None:
    """Have it kept by whoever has the outbox."""
    path = desk.config.outbox.path
    if desk.peers.is_running:
        told = await call(desk.config.server, "POST", f"/api/sources/{name}/miss", body={})
        if told is None:
            raise PipelineError("the daemon does not answer any more")
        return msgspec.json.decode(told, type=Missed).since
    if desk.peers.trouble:
        raise PipelineError(desk.peers.trouble)
    if not path.exists():  # so nothing has ever come
        return None
    async with open_webhooks(path) as webhooks:
        await webhooks.miss(name)
        gap = (await webhooks.known(name)).gap
    return iso(gap.since) if gap else None


async def _have_it_seen(desk: _Desk, name: str) -> None:
    """Let a running daemon look, and warn where it sees otherwise: it may know other keys."""
    if not desk.peers.is_running:
        return
    try:
        body = await call(desk.config.server, "POST", f"/api/sources/{name}/look", body={})
        seen = msgspec.json.decode(body or b"", type=_Seen)
    except (PipelineError, msgspec.DecodeError):
        return  # it looks by itself within the hour
    if seen.webhook != WebhookState.REGISTERED:
        complain(f"warning: {name}: the running daemon finds it {seen.webhook}: {seen.note}")
        complain("  If the configuration was changed since its start, restart it now.")


async def _delete(desk: _Desk) -> int:
    looks, failures = await desk.look()
    if failures:
        return _failed(failures)
    name, found = _the_one(looks, desk.options.id)
    told = f"webhook {desk.options.id}"
    told += f" to {found.url} ({_WHOSE[found.whose]})" if found else ""
    if not desk.options.yes and not agreed(f"{name}: {told} will be deleted."):
        return EXIT_FAILED
    if not await desk.ask(name, lambda one: one.delete(desk.options.id)):
        raise Reject(f"{name}: ROLLER has no webhook {desk.options.id} any more")
    _say(f"{name}: deleted {told}")
    if found and found.whose is Whose.OURS and desk.config.sources[name].public_url:
        key = f"sources.{name}.public_url"
        complain(f"A running daemon makes it anew: take {key} out, and restart the daemon.")
    return 0


def _the_one(looks: Mapping[str, Look], number: str) -> tuple[str, Subscription | None]:
    """Find the source and the webhook of this id; Reject when that is not one.

    What is not listed is tried all the same where the list may not be the whole one.
    """
    found = [
        (name, one)
        for name, look in looks.items()
        for one in look.subscriptions
        if str(one.id) == number
    ]
    if len(found) > 1:
        names = " and ".join(name for name, _ in found)
        raise Reject(f"{names} have a webhook {number} each: say which with --source")
    if found:
        return found[0]
    unsure = [name for name, look in looks.items() if look.state is WebhookState.UNKNOWN]
    if len(looks) == len(unsure) == 1:
        return unsure[0], None
    raise Reject(f"ROLLER has no webhook {number}: `pipeline webhooks list` shows all")


def _of(source: Source) -> Subscriptions:
    if source.subscriptions is None:
        raise Reject("it has no webhooks that could be asked for")
    return source.subscriptions


def _say(text: str) -> None:
    console().print(escape(text), soft_wrap=True)


def _warn(name: str, look: Look) -> None:
    for one in look.warnings:
        complain(f"warning: {name}: {one.note}\n  {one.advice}")


def _failed(failures: Mapping[str, Failure]) -> int:
    for name, exc in failures.items():
        complain(f"sources.{name}: {exc.reason}")
    if any(isinstance(exc, Unreachable) for exc in failures.values()):
        return EXIT_UNAVAILABLE
    return EXIT_FAILED if failures else 0
