"""The simulated Stampede as one object: its settings, data, tokens and limits."""

import itertools
import time

from aiohttp import web

from pipeline.sandbox.answers import Document, reply
from pipeline.sandbox.settings import StampedeSettings
from pipeline.sandbox.stampede.data import Bookings, Guests
from pipeline.sandbox.window import Clock, SlidingWindow


class Stampede:
    """Everything that lives from one reset to the next."""

    guests: Guests
    bookings: Bookings
    #: every registration as it came, with the time
    registrations: list[Document]
    missing_permissions: tuple[str, ...]
    window: SlidingWindow
    token_window: SlidingWindow

    def __init__(self, settings: StampedeSettings, clock: Clock = time.time) -> None:
        self.settings = settings
        self.clock = clock
        self._numbers = itertools.count(1)
        self.reset()

    def reset(self) -> None:
        """No guests, no tokens, and the whole allowance free."""
        settings = self.settings
        self.guests = Guests(self.clock)
        self.bookings = Bookings()
        self.registrations = []
        self.window = SlidingWindow(settings.requests, settings.per, self.clock)
        self.token_window = SlidingWindow(settings.token_requests, settings.token_per, self.clock)
        self._token_ends: dict[str, float] = {}
        self.missing_permissions = settings.missing_permissions

    def issue_token(self) -> str:
        """A new token, never handed out before; earlier ones stay valid."""
        token = f"sandbox-stampede-token-{next(self._numbers)}"
        self._token_ends[token] = self.clock() + self.settings.token_lifetime
        return token

    def accepts(self, token: str) -> bool:
        """Whether a token is known and has not expired."""
        return self._token_ends.get(token, 0.0) > self.clock()

    def revoke_tokens(self) -> None:
        """Makes every token invalid."""
        self._token_ends.clear()

    def state(self) -> Document:
        """All that it holds."""
        window = self.window
        return {
            "guests": [guest.state() for guest in self.guests.by_id.values()],
            "bookings": [booking.state() for booking in self.bookings.all()],
            "registrations": self.registrations,
            "tokens": len(self._token_ends),
            "missing_permissions": self.missing_permissions,
            "allowance": {
                "requests": window.requests,
                "per_s": window.per,
                "used": window.used(),
                "peak": window.peak,
                "refused": window.refused,
            },
        }

    def error(self, request: web.Request, status: int, message: str | list[str]) -> web.Response:
        """The vendor's most common error shape; validation lists its messages."""
        named = message if isinstance(message, str) else "Validation Error"
        document: Document = {
            "stack": f"Error: {named}\n    at handle (/app/dist/main.js:1:1)",
            "code": status,
            "message": message,
            "url": request.path_qs,
            "method": request.method,
        }
        return reply(document, status)


STAMPEDE = web.AppKey("stampede", Stampede)
