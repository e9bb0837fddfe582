"""Lessons that are ready but for what only the teacher knows; shipped with the package, one file a language.

What is to be filled in stands in square brackets, ``[tema da aula]``: an unfilled template is a valid lesson
too, in which a teacher sees what is missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from pydantic import BaseModel, Field

from composer_mcp.composition.json_values import texts
from composer_mcp.composition.lesson import Lesson
from composer_mcp.composition.problems import check_lesson
from composer_mcp.composition.vocabulary import Language, language_of

PLACEHOLDER = re.compile(r"\[([^\[\]]{1,120})\]")
#: In the order in which they are offered.
NAMES = ("complete-lesson", "review", "reading", "experiment", "diagnosis", "project")


class LessonTemplate(BaseModel):
    """A lesson to be filled in."""

    name: str
    title: str
    description: str
    placeholders: list[str] = Field(description="what stands in [brackets] in the lesson")
    lesson: dict[str, Any] = Field(description="fill in the brackets and give it to create_composition")

    @property
    def element_types(self) -> list[str]:
        """The types of its elements, each once, in reading order."""
        return list(dict.fromkeys(element["type"] for element in self.lesson["elements"]))


def templates(language: str) -> list[LessonTemplate]:
    """Return all lesson templates in the nearest language that there is."""
    return [_read(name, language_of(language)).model_copy(deep=True) for name in NAMES]


def template(name: str, language: str) -> LessonTemplate | None:
    """Return one lesson template, or nothing if none has this name."""
    return _read(name, language_of(language)).model_copy(deep=True) if name in NAMES else None


def made(name: str, data: Mapping[str, Any]) -> LessonTemplate:
    """Return the template that a file describes: ``title``, ``description``, ``lesson``."""
    found = (match for text in _in_order(data["lesson"]) for match in PLACEHOLDER.findall(text))
    return LessonTemplate(name=name, placeholders=list(dict.fromkeys(found)), **data)


def filled(template: LessonTemplate, values: Mapping[str, str] | None = None) -> Lesson:
    """Return the lesson of a template; a placeholder without a value stays, in brackets, for the teacher.

    Raises:
        invalid_lesson: a value is too long for its place, or makes two choices of a question equal.
    """
    given = values or {}

    def put(value: Any) -> Any:
        if isinstance(value, str):
            return PLACEHOLDER.sub(lambda found: given.get(found[1], found[0]), value)
        if isinstance(value, list):
            return [put(item) for item in value]
        if isinstance(value, dict):
            return {name: put(item) for name, item in value.items()}
        return value

    return check_lesson(put(template.lesson))


@cache
def _read(name: str, language: Language) -> LessonTemplate:
    text = resources.files(__name__).joinpath(f"{name}.{language}.json").read_text(encoding="utf-8")
    return made(name, json.loads(text))


def _in_order(lesson: Any) -> list[str]:
    return list(texts(lesson))[::-1]
