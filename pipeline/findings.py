"""What a check finds: a verdict, what it is about, and what to do."""

from enum import StrEnum

from msgspec import Struct

from pipeline.errors import Failure, Throttled, Unreachable


class Verdict(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    #: It works, and still is not as it should be.
    WARNING = "warning"
    FAILED = "failed"


class Finding(Struct, frozen=True, kw_only=True):
    """One line of a check's table; it names no person and no secret."""

    verdict: Verdict
    #: The part that was looked at, such as "token" or "GET /venues/me".
    what: str
    note: str
    #: What to do about it; empty when nothing is to be done.
    advice: str = ""
    #: The peer could not be reached at all.
    unreachable: bool = False


def ok(what: str, note: str) -> Finding:
    """Make a finding that needs nothing."""
    return Finding(verdict=Verdict.OK, what=what, note=note)


def warning(what: str, note: str, advice: str = "") -> Finding:
    """Make a finding that somebody should know of."""
    return Finding(verdict=Verdict.WARNING, what=what, note=note, advice=advice)


def failed(what: str, note: str, advice: str = "") -> Finding:
    """Make a finding that keeps the pipeline from working."""
    return Finding(verdict=Verdict.FAILED, what=what, note=note, advice=advice)


def fault(what: str, failure: Failure, *, base_url: str) -> Finding:
    """Make the finding of a request that came to nothing."""
    match failure:
        case Throttled():
            return warning(what, failure.reason, "check again later")
        case Unreachable():
            return Finding(
                verdict=Verdict.FAILED,
                what=what,
                note=failure.reason,
                advice=f"is base_url = {base_url} right, and may this machine reach it?",
                unreachable=True,
            )
        case _:
            advice = f"is base_url = {base_url} right? If so, check again, and ask the vendor"
            return failed(what, failure.reason, advice)
