"""One kind of failure: a sentence for the operator, in four parts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Problem(Exception):
    """What happened, why it matters, what to do, and what state things are in now."""

    happened: str
    matters: str
    remedy: str
    state: str

    def __str__(self) -> str:
        """Return the message as it is printed, the first line ready to be prefixed."""
        return "\n".join([self.happened, self.matters, self.remedy, self.state])
