"""The share of those that others go before: one slot in so many, whatever waits above them."""


class Share:
    """Counts slots as they are given, and keeps those that its owners could not take yet.

    Its owners are spaced, and what goes before them is not: in a burst their turn comes more often
    than they may go. Such slots are kept from the others until then, else the burst would take
    them too.
    """

    def __init__(self, one_in: int) -> None:
        self._one_in = one_in
        self._given = 0
        #: Slots that are for nobody else.
        self.kept = 0

    @property
    def is_next(self) -> bool:
        """Whether the next slot begins the turn of its owners."""
        return self._given % self._one_in == self._one_in - 1

    def give(self, *, to_owner: bool) -> None:
        """Count a slot that was given; one that was kept is counted already."""
        if to_owner and self.kept:
            self.kept -= 1
        else:
            self._given += 1

    def give_back(self) -> None:
        """Count a slot as not given."""
        self._given -= 1

    def keep(self) -> None:
        """Keep the next slot, and let the ones behind it be counted on."""
        self._given += 1
        self.kept += 1

    def waive(self) -> None:
        """Leave the turn, and what is kept, to others: its owners have nothing to send."""
        self._given += self.is_next
        self.kept = 0
