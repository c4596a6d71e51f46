"""The one list of plug-ins: a new source or destination is a folder, and a line here."""

from collections.abc import Mapping

from pipeline.destinations.stampede import Stampede, StampedeSettings
from pipeline.plugin import Destination, Session, Source
from pipeline.sources.roller import Roller, RollerSettings

SourceSettings = RollerSettings
DestinationSettings = StampedeSettings

SOURCES: Mapping[str, type[SourceSettings]] = {"roller": RollerSettings}
DESTINATIONS: Mapping[str, type[DestinationSettings]] = {"stampede": StampedeSettings}


def make_source(name: str, settings: SourceSettings, session: Session) -> Source:
    """Make the source that these settings describe."""
    return Roller(name, settings, session)


def make_destination(name: str, settings: DestinationSettings, session: Session) -> Destination:
    """Make the destination that these settings describe."""
    return Stampede(name, settings, session)
