"""What a Stampede destination can be told in the configuration."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal, Self

from msgspec import Struct

from pipeline.consent import Feed
from pipeline.settings import Duration, RateLimit, Secret, Text, Url, shown

#: "Exactly 12 alphanumeric characters": https://developer.stampede.ai, page Form.
_SERIAL = re.compile(r"[A-Za-z0-9]{12}")

_PATH = re.compile(r"/[^\s?#]*")


class Serial(str):
    """A Stampede venue's id."""

    __slots__ = ()

    @classmethod
    def parse(cls, raw: object, _folder: Path) -> Self:
        """Check the form; ValueError when it cannot be a serial."""
        if not isinstance(raw, str) or not _SERIAL.fullmatch(raw):
            msg = f"expected a venue serial of 12 letters and digits, not {shown(raw)}"
            raise ValueError(msg)
        return cls(raw)


class ConsentSettings(Struct, frozen=True, kw_only=True):
    """Which of ROLLER's consents feeds which of Stampede's."""

    data: Feed = "email"
    email: Feed = "email"
    sms: Feed = "sms_or_email"


class StampedeSettings(Struct, frozen=True, kw_only=True):
    """One API key of one Stampede organisation."""

    #: The key that names sources.
    sources_key: ClassVar[str] = "venues"

    type: Literal["stampede"]
    base_url: Url = Url("https://global.stampede.ai")
    client_id: Text
    client_secret: Secret
    #: Source → venue serial; only these sources are delivered.
    venues: Mapping[str, Serial]
    mode: Literal["api", "registration"] = "api"
    #: Where registrations go; the vendor has published no address.
    registration_path: str | None = None
    #: "100 requests every 15 minutes": https://developer.stampede.ai, introduction.
    rate_limit: RateLimit = RateLimit(requests=100, per=Duration(900))
    tags: tuple[Literal["source", "channel", "status"], ...] = ("source", "channel", "status")
    consent: ConsentSettings = ConsentSettings()
    first_contact: Literal["check", "trust"] = "check"
    visit_updates: tuple[Literal["complete", "arrived"], ...] = ("complete",)

    def source_names(self) -> Iterator[str]:
        """Name the sources that are delivered here."""
        return iter(self.venues)

    def unused(self) -> Iterator[str]:
        """Name what has no effect in this version, if it is given."""
        if self.registration_path is not None and self.mode == "api":
            yield "registration_path"
        if self.visit_updates and self.mode == "registration":
            yield "visit_updates"

    def problems(self) -> Iterator[tuple[str, str]]:
        """Tell what does not fit together, as (path below here, sentence); see `config.py`."""
        if not self.venues:
            yield "venues", 'no source is mapped: add one as { leeds = "A1B2C3D4E5F6" }'
        if self.mode == "registration" and self.registration_path is None:
            yield "registration_path", 'is required with mode = "registration": ask Stampede for it'
        if self.registration_path is not None and not _PATH.fullmatch(self.registration_path):
            yield "registration_path", "must begin with a slash, and have no space, ? or #"
