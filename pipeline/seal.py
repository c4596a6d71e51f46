"""Keyed digests: how the outbox remembers people and payloads without holding them."""

import hashlib


class Seal:
    """Digests under one outbox's key, so that they cannot be looked up in a table of e-mails."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __repr__(self) -> str:
        """Hide the key."""
        return "Seal(…)"

    def digest(self, data: bytes) -> str:
        """Give 32 hexadecimal digits (BLAKE2b, 128 bits)."""
        return hashlib.blake2b(data, digest_size=16, key=self._key).hexdigest()

    def person(self, email: str) -> str:
        """Name a person by the normalised e-mail."""
        return self.digest(email.encode())
