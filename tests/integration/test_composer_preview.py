"""What a teacher sees: a composition made through the API, opened in the real editor, as a picture."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from pydantic import SecretStr

from composer_mcp.composer import editor
from composer_mcp.composition.lesson import Lesson
from composer_mcp.errors import ComposerError
from composer_mcp.jobs import handlers
from composer_mcp.jobs.requests import CompositionSaved, CreateComposition, Preview, PreviewComposition

from .composer_fixtures import Bench, Standin

pytestmark = pytest.mark.anyio

LESSON: dict[str, Any] = {
    "title": "Fotossíntese: como as plantas produzem alimento",
    "description": "Uma aula curta com um questionário",
    "author": "Ana Lima",
    "subject": "science",
    "grade": "7º ano",
    "tags": ["plantas", "energia"],
    "elements": [
        {
            "type": "text",
            "title": "O que é a fotossíntese?",
            "html": "<p>As plantas usam a <strong>luz do Sol</strong>, a água e o gás carbônico para "
            "produzir glicose e oxigênio. O processo acontece nos cloroplastos, onde fica a clorofila.</p>"
            "<ul><li>Entram: água, gás carbônico e luz</li><li>Saem: glicose e oxigênio</li></ul>"
            "<script>alert(1)</script>",
        },
        {"type": "text", "text": "6 CO₂ + 6 H₂O + luz → C₆H₁₂O₆ + 6 O₂\n\nSem luz < nenhuma glicose."},
        {
            "type": "quiz",
            "questions": [
                {
                    "question": "Qual gás as plantas absorvem na fotossíntese?",
                    "choices": [
                        {"text": "Oxigênio"},
                        {"text": "Gás carbônico", "correct": True},
                        {"text": "Nitrogênio"},
                    ],
                },
                {
                    "question": "Onde acontece a fotossíntese?",
                    "choices": [{"text": "No cloroplasto", "correct": True}, {"text": "Na mitocôndria"}],
                },
            ],
        },
    ],
}


async def test_a_lesson_becomes_a_composition_and_a_picture(bench: Bench, standin: Standin) -> None:
    async with bench.work() as work:
        saved = await handlers.run(CreateComposition(lesson=Lesson.model_validate(LESSON)), work)
        assert isinstance(saved, CompositionSaved)
        assert saved.created and saved.widgets == 4
        assert saved.url == f"{standin.app_url}/#/embed/composer/{saved.uid}"
        preview = await handlers.run(PreviewComposition(uid=saved.uid), work)
        assert isinstance(preview, Preview) and preview.picture is not None
        picture = await work.artifacts.get(preview.picture)
    assert preview.editor_ready and preview.composition_loaded
    assert preview.final_url == saved.url
    assert preview.page_title.startswith("Fotossíntese")
    assert preview.console_errors == [] and preview.network_errors == []
    assert picture.startswith(b"\x89PNG")
    assert struct.unpack(">II", picture[16:24]) == (preview.picture_width, preview.picture_height)
    assert preview.picture_height > 1000
    assert bench.story[-1] == "The preview is ready"
    assert bench.fence.asked == 1


async def test_a_picture_shows_as_much_as_was_asked_for(bench: Bench) -> None:
    async with bench.work(browser={"viewport_width": 900, "viewport_height": 700}) as work:
        saved = await handlers.run(CreateComposition(lesson=Lesson.model_validate(LESSON)), work)
        assert isinstance(saved, CompositionSaved)
        window = await handlers.run(PreviewComposition(uid=saved.uid, picture="window"), work)
        bench.story.clear()
        none = await handlers.run(PreviewComposition(uid=saved.uid, picture="none"), work)
        assert isinstance(window, Preview) and window.picture is not None
        picture = await work.artifacts.get(window.picture)
    assert struct.unpack(">II", picture[16:24]) == (window.picture_width, window.picture_height) == (900, 700)
    assert window.composition_loaded and not window.picture_complete
    assert isinstance(none, Preview) and none.composition_loaded
    assert (none.picture, none.picture_width, none.picture_height) == (None, 0, 0)
    assert "Keeping the picture" not in bench.story


async def test_a_blank_page_means_that_the_token_was_rejected(bench: Bench, standin: Standin) -> None:
    async with bench.work(editor_timeout_seconds=2) as work, work.browsers.lease() as lease:
        opened = editor.Editor(lease, work.composer.settings, SecretStr(standin.token[:-4] + "AAAA"))
        with pytest.raises(ComposerError) as raised:
            await opened.log_in()
    assert raised.value.code.code == "composer_rejected_token"


@pytest.mark.parametrize("route", ["page", "user_me"])
async def test_a_connection_that_breaks_once_costs_no_preview(
    bench: Bench, standin: Standin, route: str
) -> None:
    async with bench.work(editor_timeout_seconds=3) as work:
        saved = await handlers.run(CreateComposition(lesson=Lesson.model_validate(LESSON)), work)
        assert isinstance(saved, CompositionSaved)
        standin.provoke(route, action="drop", times=1)
        preview = await handlers.run(PreviewComposition(uid=saved.uid), work)
    assert isinstance(preview, Preview) and preview.composition_loaded
    assert "The browser or its connection failed; trying again" in bench.story
