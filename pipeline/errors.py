"""The exceptions of the pipeline: each one tells its catcher what to do.

PipelineError
├── ConfigError                the configuration is wrong: every problem, exit code 78
├── OutboxError                the outbox cannot be used: the message says why, exit code 1
│   ├── OutboxBusy             another process holds it
│   ├── OutboxTooNew           a newer version of the pipeline made it
│   └── OutboxUnavailable      it does not take writes now: answer 503, try again
├── Unreadable                 a message cannot be understood: keep it, park it
└── Failure                    a piece of work did not succeed
    ├── Retry                  try the same item again later: the item's own failure
    │   ├── NotYet             something else must come first, and the peer is not to blame
    │   ├── NoAnswer           it was asked, and may have been done: nothing came back
    │   └── LaneFailure        the whole peer is in trouble: no item ages by it
    │       ├── TokenRefused   the peer refuses the token, which may have expired
    │       ├── Unauthorized   the peer refuses our credentials
    │       ├── Throttled      the peer asks for fewer requests
    │       └── Unreachable    no connection came about
    ├── Forbidden              a permission is missing: a person gives it, and then it works
    ├── Reject                 a person must look: park the item
    │   └── UnknownOutcome     it may have been done, and must not be done twice
    └── Skip                   nothing is to be sent: close the item with the reason
"""

from collections.abc import Sequence


class PipelineError(Exception):
    """Anything foreseeable; its text is a sentence for a person."""


class ConfigError(PipelineError):
    """The configuration is wrong; `problems` holds every error found, each with its path."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class OutboxError(PipelineError):
    """The outbox cannot be used."""


class OutboxMissing(OutboxError):
    """There is no outbox yet: no daemon has run with this configuration."""


class OutboxBusy(OutboxError):
    """Another process holds the instance lock of this outbox."""


class OutboxTooNew(OutboxError):
    """A newer version of the pipeline has migrated this outbox."""


class OutboxUnavailable(OutboxError):
    """The outbox does not take writes at the moment; the caller may try again later."""


class Unreadable(PipelineError):
    """A message cannot be understood; the text says what is wrong and where."""


class Failure(PipelineError):
    """A piece of work did not succeed; `reason` is shown to people and holds no personal data."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Retry(Failure):
    """Try the same item again, not before `after` seconds (None: the backoff decides)."""

    def __init__(self, reason: str, *, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class NotYet(Retry):
    """Something else must come first; the peer is not to blame for the wait."""


class Outdated(NotYet):
    """What would be sent is too old, and its source cannot be asked anew just now."""


class NoAnswer(Retry):
    """The request left and no answer came; whether it took effect is not known."""


class LaneFailure(Retry):
    """The peer as a whole is in trouble; the item that met it is not to blame."""


class TokenRefused(LaneFailure):
    """The peer refuses the token, which has been dropped; a fresh one may cure it.

    `late` says that it was dropped before, by another request that met the same refusal.
    """

    def __init__(self, reason: str, *, late: bool = False) -> None:
        super().__init__(reason)
        self.late = late


class Unauthorized(LaneFailure):
    """The peer refuses our credentials, also after a fresh token."""


class Throttled(LaneFailure):
    """The peer answered 429; `after` is what it asked for."""


class Unreachable(LaneFailure):
    """The connection did not come about: name resolution, refusal, TLS, connect time-out."""


class Forbidden(Failure):
    """The peer knows us and does not let us ask this one thing; the reason says what to do."""


class Reject(Failure):
    """The item cannot succeed as it is; a person must look."""


class Gone(Reject):
    """The destination has the guest no more that it knew by this id."""


class UnknownOutcome(Reject):
    """It may have been done, and must not be done twice; `why` says what hides the outcome."""

    def __init__(self, why: str) -> None:
        super().__init__("unknown outcome")
        self.why = why


class Skip(Failure):
    """The item is not to be sent, for a reason that is no fault."""
