"""One thing that is wrong with a lesson: where, what, what was given, what would be right."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from composer_mcp.composition.json_values import short, written

#: More is counted, not told.
TOLD = 20
#: More is not looked into: whoever sends so many mistakes needs the first ones.
KEPT = 200
#: A longer form is not repeated to the caller, who has it at hand; the words say what to do with it.
NEAREST_CHARACTERS = 300

Path = tuple[str | int, ...]


class Nothing(Enum):
    """What stands where no JSON value can."""

    REMOVE = "remove"
    ABSENT = "absent"


REMOVE = Nothing.REMOVE
ABSENT = Nothing.ABSENT


@dataclass(slots=True)
class Problem:
    """One broken rule.

    ``nearest`` is a valid value for ``path``, or REMOVE. With ``instead_of`` the value now stands under that
    name beside it. ``tell`` is false where the nearest form would lose content and serves only to look on.
    """

    path: Path
    problem: str
    given: Any = ABSENT
    nearest: Any = REMOVE
    instead_of: str | None = None
    tell: bool = True

    def __post_init__(self) -> None:
        # Shown as it was given: the value itself is mended later.
        if self.given is not ABSENT:
            shown = short(self.given)
            self.given = f"{short(self.instead_of)}: {shown}" if self.instead_of else shown

    @property
    def order(self) -> tuple[bool, int]:
        """Where it is told: what concerns the whole first, then entry by entry."""
        number = next((part for part in self.path if isinstance(part, int)), None)
        return number is not None, number or 0

    def told(self, root: str) -> dict[str, str]:
        """Return the form in which the caller reads it."""
        result = {"path": shown_path(root, self.path), "problem": self.problem}
        if self.given is not ABSENT:
            result["given"] = self.given
        if self.tell and self.nearest is not REMOVE:
            nearest = written(self.nearest)
            if len(nearest) <= NEAREST_CHARACTERS:
                result["nearest"] = nearest
        return result


@dataclass(slots=True)
class Findings:
    """All problems of one check; only the first are kept, all are counted."""

    problems: list[Problem] = field(default_factory=list)
    count: int = 0

    @property
    def full(self) -> bool:
        """Whether no more are kept."""
        return len(self.problems) >= KEPT

    def add(self, problem: Problem) -> None:
        """Note a problem; a second one of the same place is told with the first."""
        known = next((known for known in self.problems if known.path == problem.path), None)
        if known is not None:
            known.problem = f"{known.problem}; {problem.problem}"
            known.nearest = problem.nearest
            known.tell = known.tell and problem.tell
            return
        self.count += 1
        if not self.full:
            self.problems.append(problem)


def shown_path(root: str, path: Path) -> str:
    """Return a path as it is written in code: ``lesson.elements[3].title``."""
    text = root
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[A-Za-z_]\w{0,59}", part, re.ASCII):
            text += f".{part}"
        else:
            text += f"[{short(part)}]"
    return text


def at(value: Any, path: Path) -> Any:
    """Return what stands at a path, ABSENT if nothing does."""
    for part in path:
        if isinstance(part, int):
            if not isinstance(value, list) or not -len(value) <= part < len(value):
                return ABSENT
        elif not isinstance(value, dict) or part not in value:
            return ABSENT
        value = value[part]
    return value


def mended(value: Any, problem: Problem) -> Any:
    """Return ``value`` with the nearest valid form in place; lists and objects are changed where they are."""
    if not problem.path:
        return problem.nearest
    *above, last = problem.path
    parent = at(value, tuple(above))
    if isinstance(parent, dict) and isinstance(last, str):
        if problem.instead_of is not None:
            parent.pop(problem.instead_of, None)
        if problem.nearest is REMOVE:
            parent.pop(last, None)
        else:
            parent[last] = problem.nearest
    elif isinstance(parent, list) and isinstance(last, int) and last < len(parent):
        parent[last] = problem.nearest
    return value
