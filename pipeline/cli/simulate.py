"""`pipeline simulate`: whether the allowance suffices, before a contract is signed."""

import argparse
import sys

from rich.table import Table

from pipeline.cli.common import EXIT_USAGE, Commands, add_command, complain, console, print_json
from pipeline.clock import span
from pipeline.settings import Duration
from pipeline.simulation.outcome import Outcome, Waits
from pipeline.simulation.scenario import Scenario, answer

_ABOUT = """\
Simulates days of bookings in seconds: the real pipeline, on a clock of its own, between a simulated
ROLLER and a simulated Stampede with its limit. Nothing is contacted, and nothing is left behind.

  pipeline simulate --bookings-per-day 400 --venues 3
  pipeline simulate --bookings-per-day 400 --venues 3 --outage 6h --days 14
  pipeline simulate --bookings-per-day 900 --tags none --first-contact trust
  pipeline simulate --backfill 10000 --days 3 --json > outcome.json

Bookings come by the hour and the day of the week, most on Saturdays; one in five is changed later,
one in twenty cancelled. An outage of Stampede begins at noon of the second day. The same --seed
gives the same result. Some hundred requests are simulated in a second, so a full week takes about a
minute or two.
"""

_CLASSES = {
    "1": "opt-outs",
    "2": "new, cancelled",
    "3": "changed",
    "4": "visits",
    "5": "tags",
    "6": "backfill",
}

#: Beyond this a simulation takes an hour.
_MOST_REQUESTS = 2_000_000
_MOST_VENUES = 500
_MOST_DAYS = 366.0
_DAY = 86_400.0
_DEFAULTS = Scenario()


def add(commands: Commands) -> None:
    """Add the command."""
    made = add_command(
        commands, "simulate", "see whether the allowance suffices", _ABOUT, config=False
    )
    default = _DEFAULTS
    made.add_argument(
        "--bookings-per-day", type=_number(1_000_000), default=default.bookings_per_day,
        metavar="N", help="of all venues together (default: 300)",
    )  # fmt: skip
    made.add_argument(
        "--venues", type=_count(1, _MOST_VENUES), default=default.venues, metavar="V",
        help="with that many ROLLER venues on one Stampede key (default: 1)",
    )  # fmt: skip
    made.add_argument(
        "--days", type=_number(_MOST_DAYS), default=default.days, metavar="D",
        help="for so long (default: 7)",
    )  # fmt: skip
    made.add_argument(
        "--outage", type=_duration, default=default.outage, metavar="6h",
        help="Stampede cannot be reached for so long (default: no outage)",
    )  # fmt: skip
    made.add_argument(
        "--returning", type=_share, default=default.returning, metavar="SHARE",
        help="of bookings, by guests who have booked before (default: 0.3)",
    )  # fmt: skip
    made.add_argument(
        "--backfill", type=_count(0, 1_000_000), default=default.backfill, metavar="N",
        help="old bookings that wait from the start (default: 0)",
    )  # fmt: skip
    made.add_argument(
        "--requests", type=_count(1, 100_000), default=default.requests, metavar="N",
        help="what Stampede allows (default: 100)",
    )  # fmt: skip
    made.add_argument(
        "--per", type=_duration, default=default.per, metavar="15m", help="in (default: 15m)"
    )
    made.add_argument(
        "--reserve", type=_count(0, 100_000), default=default.reserve, metavar="N",
        help="of these, kept for what is urgent (default: a fifth, at most 20)",
    )  # fmt: skip
    made.add_argument(
        "--first-contact", choices=("check", "trust"), default=default.first_contact,
        help="as in the configuration (default: check)",
    )  # fmt: skip
    made.add_argument(
        "--tags", type=_tags, default=default.tags, metavar="LIST",
        help="source,channel,status, some of these, or none (default: all)",
    )  # fmt: skip
    made.add_argument(
        "--seed", type=_count(0, 2**63), default=default.seed, metavar="S",
        help="another one gives other chances (default: 1)",
    )  # fmt: skip
    made.add_argument("--json", action="store_true", help="print one JSON document")
    made.set_defaults(command=_simulate)


def _simulate(options: argparse.Namespace) -> int:
    given = {name: getattr(options, name) for name in Scenario.__struct_fields__}
    scenario = Scenario(**given)
    if problem := _misused(scenario):
        complain(f"pipeline simulate: {problem}")
        return EXIT_USAGE
    outcome = answer(scenario, _show_progress if sys.stderr.isatty() else lambda _: None)
    if options.json:
        print_json(outcome)
    else:
        _print(outcome)
    return 0


def _misused(scenario: Scenario) -> str | None:
    """Say what is wrong with the arguments as a whole; None when nothing is."""
    for where, problem in scenario.limit.problems():
        return f"--{where} {problem}"
    if scenario.outage and scenario.outage_begins + scenario.outage >= scenario.days * _DAY:
        begins = span(scenario.outage_begins)
        return f"--outage begins after {begins} and would outlive all of it: more --days are needed"
    allowed = scenario.days * _DAY / scenario.per * scenario.requests
    wanted = 6 * (scenario.days * scenario.bookings_per_day + scenario.backfill)
    if min(allowed, wanted) > _MOST_REQUESTS:
        return f"more than {_MOST_REQUESTS} requests would take too long: fewer --days will do"
    return None


def _show_progress(share: float) -> None:
    sys.stderr.write(f"\rsimulating … {share:.0%} ")
    sys.stderr.flush()


def _print(outcome: Outcome) -> None:
    out = console()
    if sys.stderr.isatty():
        sys.stderr.write("\r" + " " * 20 + "\r")
    limit, backlog = outcome.allowance, outcome.backlog
    out.print(
        f"{outcome.bookings} bookings in {outcome.days:g} days made {outcome.requests} requests, "
        f"{outcome.requests_per_booking or 0} a booking; {limit.used:.1%} of the allowance of "
        f"{limit.requests} in {span(limit.per_s)} was used, {limit.busiest_window} at most in a "
        f"window, and {limit.refused} were refused."
    )
    table = Table("class", "", "", "median", "95 %", "99 %", "max", box=None, pad_edge=False)
    for name, one in outcome.classes.items():
        about = f"{name} {_CLASSES[name]}"
        table.add_row(about, str(one.pieces), "first request", *_spans(one.first_request_s))
        table.add_row("", "", "delivered", *_spans(one.delivered_s))
    out.print(table)
    worked_off = backlog.worked_off_after_s
    end = "was not worked off" if worked_off is None else f"was worked off in {span(worked_off)}"
    out.print(f"The longest backlog of {backlog.most} deliveries {end}; {backlog.left} are left.")
    out.print(outcome.conclusion)


def _spans(waits: Waits) -> list[str]:
    values = (waits.median, waits.p95, waits.p99, waits.max)
    return ["" if value is None else _short(value) for value in values]


def _short(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else span(seconds)  # noqa: PLR2004 - tenths matter


def _duration(text: str) -> float:
    try:
        return float(Duration.parse(text))
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


class _number:  # noqa: N801 - argparse calls it
    """A number above 0, up to a most."""

    def __init__(self, most: float) -> None:
        self._most = most

    def __call__(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0.0 < value <= self._most:
            msg = f"expected a number above 0, up to {self._most:g}, not {text!r}"
            raise argparse.ArgumentTypeError(msg)
        return value


class _count:  # noqa: N801 - argparse calls it
    """A whole number between two."""

    def __init__(self, least: int, most: int) -> None:
        self._least, self._most = least, most

    def __call__(self, text: str) -> int:
        if not text.isdecimal() or not self._least <= int(text) <= self._most:
            msg = f"expected a whole number from {self._least} to {self._most}, not {text!r}"
            raise argparse.ArgumentTypeError(msg)
        return int(text)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        msg = f"expected a share from 0 to 1, such as 0.3, not {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return value


def _tags(text: str) -> tuple[str, ...]:
    names = () if text == "none" else tuple(text.split(","))
    if not set(names) <= {"source", "channel", "status"}:
        msg = f"expected none, or some of source,channel,status, not {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return names
