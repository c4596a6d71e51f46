"""Keeps access tokens across restarts, in a file of mode 0600 beside the outbox.

They are not in the outbox, so that no backup of it holds a key to anything.
"""

import hashlib
import os
from pathlib import Path

import msgspec
from msgspec import Struct

from pipeline.clock import SECOND, Clock

#: A token is renewed this long before it expires, or after nine tenths of a shorter life.
_EARLY = 300.0

#: A life that a peer may state. With none at all, nothing but tokens would be asked for.
_SHORTEST_LIFE = 60.0
_LONGEST_LIFE = 30 * 86_400.0


class _Token(Struct, frozen=True, kw_only=True):
    token: str
    #: Of the credentials that fetched it: changed credentials must not go on with an old token.
    credentials: str
    renew_at: int


_file = msgspec.json.Decoder(dict[str, _Token])


class Tokens:
    """The tokens of all peers, by name."""

    def __init__(self, path: Path, clock: Clock, *, saves: bool = True) -> None:
        self._path = path
        #: False for a guest beside a running daemon, whose file this is.
        self._saves = saves
        self._clock = clock
        self._tokens = self._load()

    def get(self, name: str, credentials: str) -> str | None:
        """Give the peer's token; None when there is none, or it is about to expire."""
        kept = self._tokens.get(name)
        if kept is None or kept.credentials != credentials or kept.renew_at <= self._clock.now():
            return None
        return kept.token

    def keep(self, name: str, credentials: str, token: str, *, lifetime: float) -> None:
        """Keep a token that lives for `lifetime` seconds, within reason."""
        lifetime = min(max(lifetime, _SHORTEST_LIFE), _LONGEST_LIFE)
        usable = max(lifetime - _EARLY, lifetime * 0.9)
        renew_at = self._clock.now() + round(usable * SECOND)
        self._tokens[name] = _Token(token=token, credentials=credentials, renew_at=renew_at)
        self._save()

    def drop(self, name: str, token: str) -> bool:
        """Forget this token; False when it was not the one kept."""
        kept = self._tokens.get(name)
        if kept is None or kept.token != token:
            return False
        del self._tokens[name]
        self._save()
        return True

    def _load(self) -> dict[str, _Token]:
        try:
            return _file.decode(self._path.read_bytes())
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return {}  # a lost token costs one request

    def _save(self) -> None:
        if not self._saves:
            return
        fresh = self._path.with_name(self._path.name + ".new")
        try:
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.encode(self._tokens))
            fresh.replace(self._path)
        except OSError:
            return  # likewise


def fingerprint(*parts: str) -> str:
    """Name a set of credentials without telling them."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
