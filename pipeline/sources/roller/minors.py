"""Tells from a signed waiver whether it is for a minor: what is not clear counts as one.

To send a minor somewhere cannot be undone; to leave an adult out can.
"""

from typing import Any, Protocol

from pipeline.sources.roller.fields import Id

#: As some write that it is for nobody under age; null and what is left out says nothing.
_NO = {"false", "0", "0.0", "no", "none", ""}

#: Ids as .NET writes that there is none.
_NOTHING = {"", "0", "none", "null"}


class _Waiver(Protocol):
    @property
    def signed_waiver_id(self) -> Id: ...
    @property
    def parent_signed_waiver_id(self) -> Id: ...
    @property
    def is_for_minor(self) -> Any: ...


def is_for_minor(waiver: _Waiver) -> bool:
    """Tell whether a waiver is for a minor, by what it says or by belonging to an adult's.

    "minors only" stands at `parentSignedWaiverId` in ROLLER's documentation. One that says nothing
    and has no parent is an adult's: absent fields are left out on the wire.
    """
    if str(waiver.is_for_minor).strip().lower() not in _NO:
        return True
    parent = str(waiver.parent_signed_waiver_id).strip().lower()
    return parent not in {*_NOTHING, str(waiver.signed_waiver_id).strip().lower()}
