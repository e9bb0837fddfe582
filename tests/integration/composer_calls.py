"""Calls as a worker makes them, for tests of what jobs do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from composer_mcp.composition.lesson import CompositionChange, Lesson
from composer_mcp.errors import ComposerError
from composer_mcp.jobs import handlers
from composer_mcp.jobs.requests import AnyRequest, CompositionSaved, CreateComposition, UpdateComposition
from composer_mcp.jobs.work import Work

#: A widget as a newer Composer may keep it.
WIDGET: dict[str, Any] = {
    "id": "a3d1c1a0-0000-4000-8000-000000000001",
    "type": "text-1",
    "content": "<p>Do modelo</p>",
    "de_uma_versao_futura": {"x": 1},
}


def lesson(title: str) -> Lesson:
    elements = [
        {"type": "text", "text": "Uma frase."},
        {
            "type": "quiz",
            "questions": [{"question": "1 + 1?", "choices": [{"text": "2", "correct": True}, {"text": "3"}]}],
        },
    ]
    return Lesson.model_validate({"title": title, "author": "Ana Lima", "tags": ["x"], "elements": elements})


async def save(request: AnyRequest, work: Work) -> CompositionSaved:
    saved = await handlers.run(request, work)
    assert isinstance(saved, CompositionSaved)
    return saved


async def create(work: Work, title: str) -> CompositionSaved:
    return await save(CreateComposition(lesson=lesson(title)), work)


async def describe(work: Work, uid: str, text: str, version: str | None = None) -> CompositionSaved:
    change = CompositionChange(description=text)
    return await save(UpdateComposition(uid=uid, change=change, expected_version=version), again(work))


def again(work: Work) -> Work:
    """Another call of the same tenant."""
    return replace(work, job_id=uuid4(), idempotency_key=uuid4().hex)


def by(tenant: str, work: Work) -> Work:
    """A call of another tenant."""
    return replace(again(work), tenant=tenant)


async def code_of(request: AnyRequest, work: Work) -> str:
    with pytest.raises(ComposerError) as raised:
        await handlers.run(request, work)
    return raised.value.code.code
