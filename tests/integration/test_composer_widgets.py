"""Every element of a lesson is drawn in the editor, as a widget of its kind and not as an unknown one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from composer_mcp.browser.lease import Lease
from composer_mcp.composer import editor
from composer_mcp.composition import templates
from composer_mcp.composition.catalogue import describe
from composer_mcp.composition.compose import compose
from composer_mcp.composition.elements import ELEMENTS
from composer_mcp.composition.lesson import Lesson
from composer_mcp.composition.problems import check_lesson
from composer_mcp.jobs.work import Work

from .composer_fixtures import Bench

pytestmark = pytest.mark.anyio


async def open_(work: Work, lease: Lease, lesson: Lesson) -> editor.Look:
    document = compose(lesson, UUID(int=1), work.composer.settings.media_url)
    saved = await work.composer.create(document, work.fence)
    opened = editor.Editor(lease, work.composer.settings, work.composer.token)
    await opened.log_in()
    return await opened.look_at(saved.uid, document)


async def test_every_element_of_the_catalogue_is_drawn(bench: Bench) -> None:
    elements: list[dict[str, Any]] = [describe(name, "pt_BR").example for name in ELEMENTS]
    lesson = check_lesson({"title": "Tudo", "elements": elements})
    async with bench.work() as work, work.browsers.lease() as lease:
        look = await open_(work, lease, lesson)
        page = lease.page
        assert look.composition_loaded
        assert await page.locator(".lesson > *").count() == len(elements)
        assert await page.locator(".unknown").count() == 0
        card = page.locator(".card").first
        assert await card.inner_text() == "Núcleo"
        await card.click()
        assert await card.inner_text() == "Parte que guarda o DNA"
        await page.locator(".choice").first.click()
        assert await page.locator("fieldset > .feedback").inner_text() == "O núcleo guarda quase todo o DNA."
        assert await page.locator(".point").count() == 1
        assert await page.locator(".gallery img").count() == 2
    # The pictures of the examples are nowhere; nothing else may go wrong.
    assert all("example.org" in error or "Failed to load resource" in error for error in look.console_errors)


@pytest.mark.parametrize("name", templates.NAMES)
async def test_a_template_that_nobody_filled_in_is_drawn_with_its_brackets(bench: Bench, name: str) -> None:
    template = templates.template(name, "pt_BR")
    assert template is not None
    async with bench.work() as work, work.browsers.lease() as lease:
        look = await open_(work, lease, templates.filled(template))
        assert look.composition_loaded and look.console_errors == []
        assert await lease.page.locator(".unknown").count() == 0
        assert f"[{template.placeholders[0]}]" in await lease.page.locator(".lesson").inner_text()
