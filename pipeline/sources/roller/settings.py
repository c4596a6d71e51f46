"""What a ROLLER source can be told in the configuration."""

import math
import re
from collections.abc import Iterator
from datetime import time, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import phonenumbers
from msgspec import Struct

from pipeline.money import digits
from pipeline.settings import Duration, Keys, RateLimit, Secret, Text, Url, shown

_TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


class Timezone(str):
    """An IANA time zone's name."""

    __slots__ = ()

    @classmethod
    def parse(cls, raw: object, _folder: Path | None = None) -> Self:
        """Check that the zone exists; ValueError when it does not."""
        try:
            if isinstance(raw, str):
                return cls(ZoneInfo(raw).key)
        except (KeyError, ValueError, OSError):
            pass
        msg = f'expected an IANA time zone such as "Europe/London", not {shown(raw)}'
        raise ValueError(msg)


class Currency(str):
    """An ISO 4217 code."""

    __slots__ = ()

    @classmethod
    def parse(cls, raw: object, _folder: Path | None = None) -> Self:
        """Check that the currency exists and has a minor unit; ValueError when not."""
        if not isinstance(raw, str) or digits(raw) is None:
            msg = f'expected an ISO 4217 currency such as "GBP", not {shown(raw)}'
            raise ValueError(msg)
        return cls(raw)


class Country(str):
    """An ISO 3166-1 alpha-2 code that has a telephone numbering plan."""

    __slots__ = ()

    @classmethod
    def parse(cls, raw: object, _folder: Path | None = None) -> Self:
        """Check that the country exists; ValueError when it does not."""
        if not isinstance(raw, str) or raw not in phonenumbers.SUPPORTED_REGIONS:
            msg = f'expected an ISO 3166 country such as "GB", not {shown(raw)}'
            raise ValueError(msg)
        return cls(raw)


class DailyAt(str):
    """A time of day, "HH:MM", or "off"."""

    __slots__ = ()

    @classmethod
    def parse(cls, raw: object, _folder: Path | None = None) -> Self:
        """Check the form; ValueError otherwise."""
        if not isinstance(raw, str) or not (raw == "off" or _TIME_OF_DAY.fullmatch(raw)):
            msg = f'expected a time of day such as "03:30", or "off", not {shown(raw)}'
            raise ValueError(msg)
        return cls(raw)

    @property
    def of_day(self) -> time | None:
        """The time of day; None when it is off."""
        return None if self == "off" else time.fromisoformat(self)


class Every(float):
    """An interval in seconds, or "off" (0)."""

    @classmethod
    def parse(cls, raw: object, _folder: Path | None = None) -> Self:
        """Read a duration or "off"; ValueError otherwise."""
        return cls(0 if raw == "off" else Duration.parse(raw))


class RollerSettings(Struct, frozen=True, kw_only=True):
    """One ROLLER venue."""

    type: Literal["roller"]
    base_url: Url = Url("https://api.roller.app")
    client_id: Text
    client_secret: Secret
    webhook_key: Keys
    public_url: Url | None = None
    timezone: Timezone | None = None
    currency: Currency | None = None
    country: Country | None = None
    #: ROLLER documents 600 a minute; older help says one a second, which live integrations keep.
    rate_limit: RateLimit = RateLimit(requests=60, per=Duration(60))
    reconcile: DailyAt = DailyAt("03:30")
    products: Every = Every(3600)
    adults_only: bool = True
    #: A signed waiver is valid for a year as a rule, and this is the longest one: whoever came
    #: within it has signed another since.
    waivers: Every = Every(366 * 86_400)

    @property
    def waiver_days(self) -> timedelta | None:
        """How far back it is read who is a minor by a signed waiver, in whole days.

        None where the report of waivers is not read at all.
        """
        return timedelta(days=math.ceil(self.waivers / 86_400)) if self.waivers else None

    def unused(self) -> Iterator[str]:
        """Name what has no effect in this version, if it is given."""
        yield from ()

    def problems(self) -> Iterator[tuple[str, str]]:
        """Tell what does not fit together, as (path below here, sentence); see `config.py`."""
        problem = unreachable(self.public_url, self.base_url) if self.public_url else None
        if problem:
            yield "public_url", problem

    def webhook_url(self, source: str) -> str | None:
        """Give where the webhooks of the source of this name are to be sent, if that is known."""
        return f"{self.public_url}/webhooks/{source}" if self.public_url else None


def unreachable(url: str, base_url: str) -> str | None:
    """Say why ROLLER cannot send to an address; a simulated one on this machine may use http."""
    is_local = _is_loopback(url) and _is_loopback(base_url)
    if url.startswith("https://") or is_local:
        return None
    return "ROLLER sends webhooks to https addresses only"


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
