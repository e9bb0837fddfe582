"""A plan for a lesson: phases whose minutes add up, fitting elements, questions to think about.

The same input gives the same plan. It is general advice on teaching, taken from ``guidance.json``; it states
nothing about laws or curricula, and nothing about the subject matter.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from pydantic import BaseModel, Field

from composer_mcp.composition.fields import LINE_LIMIT
from composer_mcp.composition.vocabulary import SUBJECTS, Grade, Language, find, grade_of, language_of

#: One phase takes at least this long, in minutes.
SHORTEST_PHASE = 2
#: Up to here a lesson has few phases; from there on it is more than one usual lesson. Minutes.
SHORT_LESSON = 20
LONG_LESSON = 100
#: An objective needs about so many minutes.
MINUTES_PER_OBJECTIVE = 15
MAX_MINUTES = 600
MAX_OBJECTIVES = 20


class Phase(BaseModel):
    """One part of the lesson."""

    name: str
    minutes: int
    purpose: str
    elements: list[str] = Field(description="types that fit, best first")
    questions: list[str] = Field(description="to think about while writing")


class Guidance(BaseModel):
    """A plan for one lesson."""

    subject: str | None = Field(default=None, description="value for the lesson's `subject`")
    grade: str | None = None
    duration_minutes: int
    objectives: list[str]
    phases: list[Phase]
    tips: list[str]
    notes: list[str]


def lesson_guidance(
    subject: str, grade: str, duration_minutes: int, objectives: Sequence[str], language: str
) -> Guidance:
    """Return a plan; ``duration_minutes`` is taken as at least 5 and at most 600.

    Subject and grade are recognized in Portuguese and English, ``7º ano`` and ``Grade 7`` alike; what is not
    recognized is kept as it is, and the notes say so.
    """
    chosen = language_of(language)
    minutes = min(max(duration_minutes, 5), MAX_MINUTES)
    wanted = [text for given in objectives[:MAX_OBJECTIVES] if (text := given.strip()[:LINE_LIMIT])]
    term = find(SUBJECTS, subject[:LINE_LIMIT]) if subject.strip() else None
    year = grade_of(grade[:LINE_LIMIT])
    return Guidance(
        subject=term.value if term else None,
        grade=year.label(chosen) if year else grade.strip()[:LINE_LIMIT] or None,
        duration_minutes=minutes,
        objectives=wanted,
        phases=_phases(minutes, chosen),
        tips=_tips(term.value if term else None, year, chosen),
        notes=_notes(subject, term is not None, minutes, len(wanted), chosen),
    )


def _phases(minutes: int, language: Language) -> list[Phase]:
    words = _words()
    names = words["short"] if minutes <= SHORT_LESSON else list(words["phases"])
    shares = [words["phases"][name]["share"] for name in names]
    shortest = SHORTEST_PHASE if minutes >= SHORTEST_PHASE * len(names) else 1
    return [
        Phase(minutes=time, elements=phase["elements"], **phase[language])
        for time, name in zip(_divided(minutes, shares, shortest), names, strict=True)
        for phase in (words["phases"][name],)
    ]


def _divided(total: int, shares: Sequence[int], least: int) -> list[int]:
    """Divide whole minutes by shares, at least ``least`` each; the largest rests get what rounding leaves.

    ``total`` must be enough for that.
    """
    spare = total - least * len(shares)
    exact = [spare * share / sum(shares) for share in shares]
    result = [least + int(part) for part in exact]
    by_rest = sorted(range(len(shares)), key=lambda place: int(exact[place]) - exact[place])
    for place in by_rest[: total - sum(result)]:
        result[place] += 1
    return result


def _tips(subject: str | None, year: Grade | None, language: Language) -> list[str]:
    words = _words()
    tips = list(words["tips"][year.band if year else "unknown"][language])
    if subject is not None:
        tips.append(words["subjects"][subject][language])
    return tips


def _notes(subject: str, known: bool, minutes: int, objectives: int, language: Language) -> list[str]:
    words = {name: text[language] for name, text in _words()["notes"].items()}
    most = max(1, minutes // MINUTES_PER_OBJECTIVE)
    notes = []
    if objectives == 0:
        notes.append(words["no_objectives"])
    elif objectives > most:
        notes.append(words["many_objectives"].format(count=objectives, minutes=minutes, most=most))
    if minutes >= LONG_LESSON:
        notes.append(words["long"].format(minutes=minutes))
    if subject.strip() and not known:
        notes.append(words["subject"].format(known=", ".join(SUBJECTS)))
    return [*notes, words["basis"]]


@cache
def _words() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("guidance.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
