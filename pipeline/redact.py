"""Takes personal data out of a peer's error text before anyone sees it."""

import re
from collections.abc import Iterable

_EMAIL = re.compile(r"[^\s\"'<>(),;:]+@[^\s\"'<>(),;:]+")
_NUMBER = re.compile(r"\+?\d[\d\s().-]{6,}\d")
_LONGEST = 300

#: Shorter texts (a gender's letter, initials) would blank out half of an ordinary sentence.
_SHORTEST_SECRET = 3


def redact(text: str, told: Iterable[str] = ()) -> str:
    """Replace what the request told (`told`), e-mails and long numbers by "…"; cut at 300."""
    for secret in sorted(set(told), key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = re.sub(re.escape(secret), "…", text, flags=re.IGNORECASE)
    text = _NUMBER.sub("…", _EMAIL.sub("…", " ".join(text.split())))
    printable = "".join(c if c.isprintable() else " " for c in text)
    return printable if len(printable) <= _LONGEST else printable[: _LONGEST - 1] + "…"
