"""Takes personal data out of a peer's error text before anyone sees it."""

import re
from collections.abc import Iterable

_EMAIL = re.compile(r"[^\s\"'<>(),;:]+@[^\s\"'<>(),;:]+")
_NUMBER = re.compile(r"\+?\d[\d\s().-]{6,}\d")
_LONGEST = 300

#: What is read of a text: looking for e-mails takes quadratic time.
_LONGEST_READ = 4000

#: Shorter texts stand in many a word: they are replaced only as words of their own.
_SHORTEST_SECRET = 3


def redact(text: str, told: Iterable[str] = ()) -> str:
    """Replace what the request told (`told`), e-mails and long numbers by "…"; cut at 300."""
    text = " ".join(text[:_LONGEST_READ].split())
    for secret in sorted({" ".join(one.split()) for one in told}, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = re.sub(re.escape(secret), "…", text, flags=re.IGNORECASE)
        elif secret:
            text = re.sub(rf"\b{re.escape(secret)}\b", "…", text)
    text = _NUMBER.sub("…", _EMAIL.sub("…", text))
    printable = "".join(c if c.isprintable() else " " for c in text)
    return printable if len(printable) <= _LONGEST else printable[: _LONGEST - 1] + "…"
