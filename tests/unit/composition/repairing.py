"""A lesson to break, and a caller that repairs it from the answer."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest

from composer_mcp.composition.problems import check_lesson
from composer_mcp.errors import ComposerError

IMAGE = {"type": "image", "url": "https://x.example/a.png", "description": "uma folha"}
CHOICES = [{"text": "sim", "correct": True}, {"text": "não"}]
LESSON: dict[str, Any] = {
    "title": "A célula",
    "tags": ["célula"],
    "elements": [
        {"type": "heading", "title": "A célula"},
        {"type": "text", "text": "Uma frase."},
        {"type": "quiz", "questions": [{"question": "É?", "choices": CHOICES}]},
        IMAGE,
        {"type": "video", "url": "https://x.example/v.mp4"},
        {"type": "list", "items": ["um", "dois"]},
        {"type": "flashcards", "cards": [{"front": "a", "back": "b"}]},
        {"type": "gallery", "slides": [{"url": "https://x.example/a.png", "description": "uma folha"}]},
        {**IMAGE, "type": "hotspots", "points": [{"x": 10, "y": 20.5, "title": "Nervura"}]},
    ],
}  # fmt: skip
CHANGE: dict[str, Any] = {
    "title": "Outro",
    "widgets": [
        {"action": "add", "element": {"type": "text", "text": "Uma frase."}, "position": 0},
        {"action": "move", "widget_id": "abc", "position": 1},
        {"action": "remove", "widget_id": "def"},
    ],
}


def problems(raw: Any, check: Any = check_lesson) -> list[dict[str, str]]:
    with pytest.raises(ComposerError) as raised:
        check(raw)
    error = raised.value.as_dict()
    assert error["code"] == "invalid_lesson"
    json.dumps(error, ensure_ascii=False).encode()
    found: list[dict[str, str]] = error["details"]["problems"]
    assert len(found) == error["details"]["told"] <= 20 and found
    assert error["details"]["count"] >= len(found)
    return found


def steps(path: str) -> list[str | int]:
    """Read a path as a caller does: ``lesson.elements[0].title``, ``lesson["strange name"]``."""
    found = re.findall(r'\.(\w+)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]', path)
    return [name or (json.loads(quoted) if quoted else int(number)) for name, number, quoted in found]


def put(raw: Any, problem: dict[str, str]) -> Any:
    """Do what a problem says: write the nearest form at its path, or take out what is of no use there."""
    *above, last = steps(problem["path"]) or [None]
    if last is None:
        return json.loads(problem["nearest"])
    place = raw
    for step in above:
        place = place[step]
    if renamed := re.match(r'"([^"]*)": ', problem.get("given", "")):
        place.pop(renamed[1])
    if "nearest" in problem:
        place[last] = json.loads(problem["nearest"])
    else:
        place.pop(last, None)
    return raw


def broken(path: str, value: Any, raw: dict[str, Any] = LESSON) -> dict[str, Any]:
    """Return a lesson in which another value stands at ``path``; ``...`` takes the field out."""
    result = copy.deepcopy(raw)
    *above, last = steps(path)
    place: Any = result
    for step in above:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return result


E = ".elements"
QUESTION = f"{E}[2].questions[0]"
