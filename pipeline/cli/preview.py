"""`pipeline preview`: what a webhook would make the daemon send."""

import argparse
import asyncio
import sys
import textwrap
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import msgspec
from msgspec import Raw, Struct
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.markup import escape
from rich.text import Text

from pipeline.cli.common import (
    EXIT_UNAVAILABLE,
    EXIT_USAGE,
    Commands,
    add_command,
    complain,
    configuration,
    console,
    print_json,
)
from pipeline.clock import Clock, SystemClock, iso
from pipeline.config import Config
from pipeline.errors import NotYet, PipelineError, Retry, Unauthorized, Unreadable
from pipeline.inquire import (
    Message,
    NoDelivery,
    inquire,
    offline_destinations,
    read_guest,
    read_message,
)
from pipeline.model import DeliveryState, Guest, Phase
from pipeline.preview import GUEST_ID, Outlook, Subject, mask, nothing, preview

_STDIN = "-"

#: Bytes of a guest's answer; a longer file is not one.
_LONGEST_GUEST = 1_048_576

_ABOUT = """\
Try a webhook before it is real: shows the requests that the daemon would make of it, one by one, or
why it would make none. Nothing is sent to any destination, nothing is stored, and a running daemon
does not notice.

  pipeline preview message.json                       asks ROLLER for the guest
  pipeline preview message.json --guest guest.json    asks nobody: works without a network
  pipeline preview - --json < message.json            for a script

It is reckoned for a guest and a booking that no destination has heard of yet; of what one knows
already, the daemon sends only what has changed.

E-mail addresses, names and phone numbers are shown as words such as <e-mail>, unless you --reveal.
"""


class _Shown(Struct, frozen=True, kw_only=True):
    method: str
    path: str
    #: None where nothing is sent but the address.
    body: Raw | None


class _Part(Struct, frozen=True, kw_only=True):
    requests: tuple[_Shown, ...]
    state: DeliveryState | None
    reason: str | None


class _Document(Struct, frozen=True, kw_only=True):
    """What --json prints."""

    source: str
    #: None where the message is about something else.
    booking: str | None
    reference: str | None
    occurred_at: str | None
    revealed: bool
    notes: tuple[str, ...]
    destinations: Mapping[str, _Part]


def add(commands: Commands) -> None:
    """Add the command."""
    made = add_command(commands, "preview", "see what a webhook would make it send", _ABOUT)
    made.add_argument("file", metavar="FILE", help="the body of a webhook; - for standard input")
    made.add_argument(
        "--source", metavar="NAME", help="whose webhook it is (needed if there are several sources)"
    )
    made.add_argument(
        "--guest", metavar="FILE", help="ROLLER's answer to GET /guests/{id}, in place of asking"
    )
    made.add_argument("--reveal", action="store_true", help="show personal data as it is")
    made.add_argument("--json", action="store_true", help="print one JSON document")
    made.set_defaults(command=_preview)


def _preview(options: argparse.Namespace) -> int:
    config = configuration(options)
    if problem := _misused(options, config):
        complain(f"pipeline preview: {problem}")
        return EXIT_USAGE
    try:
        document = _preview_of(options, config)
    except Unauthorized:
        raise
    except Retry as exc:
        complain(f"pipeline: {exc}")
        return EXIT_UNAVAILABLE
    if options.json:
        print_json(document)
    else:
        _print(console(), document)
    return 0


def _misused(options: argparse.Namespace, config: Config) -> str | None:
    """Say what is wrong with the arguments as a whole; None when nothing is."""
    if options.file == options.guest == _STDIN:
        return "FILE and --guest cannot both be standard input"
    if options.source is None and len(config.sources) > 1:
        return f"--source is needed: one of {', '.join(config.sources)}"
    if options.source is not None and options.source not in config.sources:
        known = ", ".join(config.sources)
        return f"there is no source {options.source} in {options.config}, only: {known}"
    return None


def _preview_of(options: argparse.Namespace, config: Config) -> _Document:
    clock = SystemClock()
    message, guest = _given(options, config, clock)
    try:
        subject = asyncio.run(inquire(config, message, guest, clock))
    except NoDelivery as exc:
        outlooks = nothing(message.source, offline_destinations(config), exc.reason)
        return _document(options, message, outlooks, tuple(_notes_of_none(message)))
    found = _outlooks(options, config, subject)
    return _document(options, message, found, tuple(_notes(options, subject, found.values())))


def _given(
    options: argparse.Namespace, config: Config, clock: Clock
) -> tuple[Message, Guest | None]:
    """Read the files."""
    source = options.source or next(iter(config.sources))
    with _naming(options.file):
        body = _read(options.file, config.server.max_body)
        message = read_message(config, source, body, now=clock.now())
    if options.guest is None:
        return message, None
    with _naming(options.guest):
        return message, read_guest(config, message, _read(options.guest, _LONGEST_GUEST))


def _read(name: str, most: int) -> bytes:
    """Read a file, and of one that is too long a byte too much."""
    try:
        if name == _STDIN:
            return sys.stdin.buffer.read(most + 1)
        with Path(name).open("rb") as file:
            return file.read(most + 1)
    except FileNotFoundError:
        raise Unreadable("there is no such file") from None
    except OSError as exc:
        raise Unreadable(f"cannot be read: {exc.strerror}") from exc


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Say of which file it is that something cannot be understood."""
    try:
        yield
    except Unreadable as exc:
        raise PipelineError(f"{'standard input' if name == _STDIN else name}: {exc}") from exc


def _outlooks(
    options: argparse.Namespace, config: Config, subject: Subject
) -> Mapping[str, Outlook]:
    try:
        found = preview(subject, offline_destinations(config))
    except NotYet:
        settings = ", ".join(subject.unknown)
        hint = "" if options.guest is None else "; without --guest, ROLLER is asked"
        raise PipelineError(
            f"nobody tells the venue's {settings}: set {settings} in [sources.{subject.source}] "
            f"of {options.config}{hint}"
        ) from None
    if options.reveal:
        return found
    return {name: mask(outlook, subject) for name, outlook in found.items()}


def _document(
    options: argparse.Namespace,
    message: Message,
    outlooks: Mapping[str, Outlook],
    notes: tuple[str, ...],
) -> _Document:
    return _Document(
        source=message.source,
        booking=message.id,
        reference=message.reference,
        occurred_at=iso(message.occurred_at),
        revealed=options.reveal,
        notes=notes,
        destinations={name: _part(outlook) for name, outlook in outlooks.items()},
    )


def _part(outlook: Outlook) -> _Part:
    shown = tuple(
        _Shown(
            method=one.method,
            path=f"{one.path}?{unquote(one.query)}" if one.query else one.path,
            body=Raw(one.body) if one.body else None,
        )
        for one in outlook.requests
    )
    return _Part(requests=shown, state=outlook.state, reason=outlook.reason)


def _notes(
    options: argparse.Namespace, subject: Subject, outlooks: Collection[Outlook]
) -> Iterator[str]:
    """Say what the reader must know to read it right."""
    requests = [request for outlook in outlooks for request in outlook.requests]
    if options.guest is not None and subject.booking.is_partial:
        yield "The message lacks its status, total or items: the daemon asks ROLLER for them first."
    if subject.booking.customer is None and subject.booking.phase is not Phase.DRAFT:
        yield "Where the booking was told before, with its customer, it is cancelled."
    elif any(outlook.state for outlook in outlooks):
        yield "Reckoned for a guest and a booking that the destination was not told of yet."
    if any(GUEST_ID in request.path for request in requests):
        yield f"{GUEST_ID} stands for the id that the destination gives to the guest."
    if requests and not options.reveal:
        yield "Words such as <e-mail> hide personal data; --reveal shows it."


def _notes_of_none(message: Message) -> Iterator[str]:
    if message.booking is None:
        yield f"The message is not about a booking; its kind is {message.kind}."


def _print(out: Console, document: _Document) -> None:
    name = document.reference or document.booking
    what = f"Booking [bold]{escape(name)}[/]" if name else "A message"
    out.print(f"{what} of {document.source}, as of {document.occurred_at}", soft_wrap=True)
    for destination, part in document.destinations.items():
        out.print()
        out.print(f"[bold]{destination}[/]  {_headline(part)}", soft_wrap=True)
        for number, request in enumerate(part.requests, start=1):
            _print_request(out, number, request)
    if document.notes:
        out.print()
    for note in document.notes:
        out.print(Text(note, style="dim"), soft_wrap=True)


def _headline(part: _Part) -> str:
    count = len(part.requests)
    sent = f"{count} request{'' if count == 1 else 's'}" if count else "nothing would be sent"
    why = f": {escape(part.reason)}" if part.reason else ""
    if part.state in {DeliveryState.SKIPPED, DeliveryState.PARKED}:
        why = f" ([yellow]{part.state}[/]{why})"
    return sent + why


def _print_request(out: Console, number: int, request: _Shown) -> None:
    out.print(f"{number:3}  [cyan]{request.method}[/] {escape(request.path)}", soft_wrap=True)
    if request.body is None:
        return
    pretty = msgspec.json.format(bytes(request.body), indent=2).decode()
    body = Text(textwrap.indent(_printable(pretty), "     "))
    JSONHighlighter().highlight(body)
    out.print(body, soft_wrap=True)


def _printable(text: str) -> str:
    """Write what could steer a terminal as an escape; what comes in is not ours."""
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text
    )
