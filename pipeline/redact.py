"""Takes personal data out of a peer's error text before anyone sees it.

A peer may quote in other words than it was told: composed or decomposed, in another case, escaped
for HTML or for an address, a number with other separators, one word of a name. So both sides are
made plain before they are compared. Where it is in doubt, it hides too much.
"""

import html
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import unquote

from pipeline.model import Guest

#: What looks like an e-mail address, known or not; the first is looked at for an @ one by one, for
#: a pattern with one in the middle takes quadratic time.
_TOKEN = re.compile(r"[^\s\"'<>(),;:]+")
_QUOTED_EMAIL = re.compile(r"\"[^\"@]{1,64}\"@[^\s\"'<>(),;:]+")

#: Eight digits or more, whatever stands between them. Words do not: "code 400, line 12345".
_NUMBER = re.compile(r"\+?\d(?:[\W_]{0,3}\d){7,}")

_LONGEST = 300
_LONGEST_NAME = 120

#: What is read of a text. What was told and stands across its end is not recognised, so as much
#: as this again is left out.
_LONGEST_READ = 4000
_RAGGED = 400

#: Shorter ones stand in many a word: they are replaced only as words of their own, where the
#: script has a word's end to be seen.
_SHORTEST_SECRET = 3

#: Of short ones, and of a name's words: who has more than these has sent us no name.
_MOST_SHORT = 8
_MOST_WORDS = 40

#: Digits by which a number is known, whatever stands between them.
_FEWEST_DIGITS = 5

#: Times that a text may have been escaped.
_ESCAPED = 3


def redact(text: str, told: Iterable[str] = ()) -> str:
    """Replace what the request told (`told`), e-mails and long numbers by "…"; cut at 300."""
    is_cut = len(text) > _LONGEST_READ
    text = _plain(text)
    is_cut |= len(text) == _LONGEST_READ  # some characters are short for many
    spans = sorted(_spans(text, [_plain(one) for one in told]))
    if is_cut:
        text = text[: max(len(text) - _RAGGED, 0)]
    return _shown("".join(_between(text, spans)), _LONGEST)


def printable(text: str) -> str:
    """Give a peer's name for something as a table may show it: one line, at most 120 long."""
    return _shown(" ".join(text[:_LONGEST_READ].split()), _LONGEST_NAME)


def private(guest: Guest) -> tuple[str, ...]:
    """Give what a guest may be known by, names also word by word."""
    names = [name for name in (guest.first, guest.last) if name]
    words = [word for name in names for word in re.findall(r"\w+", _plain(name))]
    local = (guest.email or "").rpartition("@")[0]
    born = guest.born.isoformat() if guest.born else None
    known = (*names, *words[:_MOST_WORDS], guest.email, local, guest.phone, born)
    return tuple(dict.fromkeys(one for one in known if one and one.strip()))


def _plain(text: str) -> str:
    text = text[:_LONGEST_READ]
    for _ in range(_ESCAPED):
        once = html.unescape(unquote(text))
        if once == text:
            break
        text = once
    return " ".join(unicodedata.normalize("NFKC", text).split())[:_LONGEST_READ]


def _spans(text: str, told: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Find what must not be shown."""
    folded, places = _folded(text)
    for pattern in dict.fromkeys(_patterns([_folded(one)[0] for one in told])):
        for found in re.finditer(pattern, folded):
            yield places[found.start()], places[found.end() - 1] + 1
    yield from (found.span() for found in _QUOTED_EMAIL.finditer(text))
    yield from (found.span() for found in _TOKEN.finditer(text) if "@" in found[0])
    yield from (found.span() for found in _NUMBER.finditer(text))


def _patterns(told: Sequence[str]) -> Iterator[str]:
    """Make patterns of what was told; it is folded, and so is the text."""
    short = [one for one in told if len(one) < _SHORTEST_SECRET and one.isalnum()]
    # A name of one character is written together with the other: 李明.
    together = [a + b for a in short[:_MOST_SHORT] for b in short[:_MOST_SHORT]]
    for one in [*(one for one in told if len(one) >= _SHORTEST_SECRET), *short, *together]:
        digits = [c for c in one if c.isdigit()]
        if len(digits) >= _FEWEST_DIGITS:
            yield r"[\W_]{0,3}".join(digits)
        is_word = len(one) < _SHORTEST_SECRET and (one.isascii() or one.upper() != one.lower())
        yield rf"(?<!\w){re.escape(one)}(?!\w)" if is_word else re.escape(one)


def _folded(text: str) -> tuple[str, list[int]]:
    """Give a text without case, accents and what is invisible, and where each character was."""
    folded: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        bare = character.lower() if character.isascii() else _bare(character)
        folded.append(bare)
        places += [place] * len(bare)
    return "".join(folded), places


def _bare(character: str) -> str:
    parts = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    return "".join(c for c in parts if unicodedata.category(c) not in {"Mn", "Cf"})


def _between(text: str, spans: Iterable[tuple[int, int]]) -> Iterator[str]:
    """Give what is to be shown, with "…" for each of the spans, which may overlap."""
    shown = 0
    for start, end in spans:
        if shown <= start < len(text):
            yield text[shown:start] + "…"
        shown = max(shown, end)
    yield text[shown:]


def _shown(text: str, longest: int) -> str:
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= longest else text[: longest - 1] + "…"
