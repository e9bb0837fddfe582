"""From a lesson to a document: always the same one for the same lesson and seed."""

from __future__ import annotations

import uuid

from composer_mcp.composition import building, elements, lesson, vocabulary
from composer_mcp.composition.document import Document, derived_id
from composer_mcp.composition.lesson import Lesson


def compose(lesson_: Lesson, seed: uuid.UUID | None = None, media: str = building.MEDIA) -> Document:
    """Return the document of a lesson.

    The widgets' ids are derived from ``seed``; the same seed and lesson give the same document.
    ``media`` is where Composer keeps the default pictures of headings.
    """
    seed = seed or uuid.uuid4()
    shown = list(lesson_.elements)
    if not isinstance(shown[0], elements.Heading):
        shown.insert(0, _heading(lesson_))
    return Document(
        {
            "version": "1.1",
            "metadata": {
                "title": lesson_.title,
                "description": lesson_.description,
                "thumb": None,
                "tags": list(lesson_.tags),
                # Wanted by one source, absent from captured files: written, never demanded.
                "category": _subject(lesson_),
                "duration": lesson_.duration_minutes,
            },
            "interface": {
                "content_language": lesson_.language,
                "index_option": "buttons",
                "font_family": "Lato",
                "show_summary": "disabled",
                "finish_btn": "disabled",
            },
            "structure": [
                building.widget(element, derived_id(seed, number), media)
                for number, element in enumerate(shown)
            ],
            "assets": [],
        }
    )


def is_made_from(document: Document, seed: uuid.UUID) -> bool:
    """Whether ``document`` was composed with ``seed``: its first widgets carry ids that only it gives.

    Ids of widgets are the marker because Composer is known to keep them, which cannot be said of a field
    of our own; a few are looked at, because a teacher may have removed the first one since.
    """
    candidates = {derived_id(seed, number) for number in range(lesson.MAX_ELEMENTS + 1)}
    return not candidates.isdisjoint(document.widget_ids)


def _subject(lesson_: Lesson) -> str:
    return "" if lesson_.subject is None else vocabulary.SUBJECTS[lesson_.subject].label(lesson_.language)


def _heading(lesson_: Lesson) -> elements.Heading:
    category = " · ".join(part for part in (_subject(lesson_), lesson_.grade) if part)
    return elements.Heading(title=lesson_.title, category=category or None, author_name=lesson_.author)
