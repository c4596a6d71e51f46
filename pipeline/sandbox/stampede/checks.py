"""Validation of request bodies as the simulated Stampede does it: all complaints in one answer."""

import re
from collections.abc import Collection
from datetime import datetime

from pipeline.sandbox.answers import Document, Refused

# An offset is demanded because the vendor does not say how it reads a time without one.
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)")


class Check:
    """Collects what is wrong with one body."""

    def __init__(self, body: Document) -> None:
        self.messages: list[str] = []
        self._body = body

    def finish(self) -> None:
        """Raises `Refused` with every complaint."""
        if self.messages:
            raise Refused(400, self.messages)

    def only(self, names: Collection[str]) -> None:
        """No other fields than these."""
        others = sorted(self._body.keys() - set(names))
        self.messages += [f"property {name} should not exist" for name in others]

    def texts(
        self, path: str, *, required: bool = False, form: str = ".+", word: str = "not empty"
    ) -> list[str]:
        """A list of strings of the given form, or an empty one if absent."""
        values = self._get(path, required=required)
        if values is None:
            return []
        if not isinstance(values, list):
            self.messages.append(f"{path} must be an array")
            return []
        found = [one for one in values if isinstance(one, str)]
        if required and not values:
            self.messages.append(f"{path} should not be empty")
        if len(found) < len(values):
            self.messages.append(f"each value in {path} must be a string")
        elif not all(re.fullmatch(form, one, re.DOTALL) for one in found):
            self.messages.append(f"each value in {path} must be {word}")
        return found

    def text(self, path: str, *, required: bool = False, form: str = ".*", word: str = "") -> str:
        """A string of the given form (`word` names it in the complaint), or "" if absent."""
        value = self._get(path, required=required)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.messages.append(f"{path} must be a string")
        elif required and not value:
            self.messages.append(f"{path} should not be empty")
        elif not re.fullmatch(form, value, re.DOTALL):
            self.messages.append(f"{path} must be {word}")
        else:
            return value
        return ""

    def boolean(self, path: str, *, required: bool = True) -> bool:
        """A boolean; absent is false."""
        value = self._get(path, required=required)
        if value is not None and not isinstance(value, bool):
            self.messages.append(f"{path} must be a boolean value")
        return value is True

    def choice(self, path: str, choices: Collection[str], *, required: bool = False) -> None:
        """One of the given strings."""
        value = self._get(path, required=required)
        if value is not None and not (isinstance(value, str) and value in choices):
            self.messages.append(f"{path} must be one of: {', '.join(choices)}")

    def number(self, path: str, *, least: int, required: bool = False) -> None:
        """A whole number of at least `least`."""
        value = self._get(path, required=required)
        if value is None:
            return
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.messages.append(f"{path} must be a number")
        elif value != int(value):
            self.messages.append(f"{path} must be an integer number")
        elif value < least:
            self.messages.append(f"{path} must not be less than {least}")

    def time(self, path: str, *, required: bool = False) -> datetime | None:
        """An ISO 8601 time with an explicit offset."""
        value = self._get(path, required=required)
        if value is None:
            return None
        try:
            if isinstance(value, str) and _ISO.fullmatch(value):
                return datetime.fromisoformat(value)
        except ValueError:  # such as a 30th of February; complained of below
            pass
        self.messages.append(f"{path} must be a valid ISO 8601 date string with an offset")
        return None

    def document(self, path: str) -> None:
        """An optional object."""
        value = self._get(path, required=False)
        if value is not None and not isinstance(value, dict):
            self.messages.append(f"{path} must be an object")

    def _get(self, path: str, *, required: bool) -> object:
        """The value at a dotted path, None when absent; a null is complained of."""
        value: object = self._body
        for name in path.split("."):
            if not isinstance(value, dict) or name not in value:
                if required:
                    self.messages.append(f"{path} is required")
                return None
            value = value[name]
        if value is None:
            self.messages.append(f"{path} must not be null")
        return value
