"""The stand-in's page is the one that is known of Composer: texts, routes, localStorage, saving by hand."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from playwright.async_api import Page, expect

from composer_mcp.composer import facts
from composer_mcp.composition.lesson import Lesson
from composer_mcp.jobs import handlers
from composer_mcp.jobs.requests import CreateComposition, UpdateComposition

from .composer_fixtures import PROJECT_UID, Bench, Standin

pytestmark = pytest.mark.anyio


async def log_in(page: Page, standin: Standin) -> None:
    await page.goto(facts.login_address(standin.app_url, "pt_br", PROJECT_UID, standin.token))
    await expect(page.get_by_role("button", name="Nova composição")).to_be_visible()


async def test_a_login_leaves_the_known_keys(bench: Bench, standin: Standin) -> None:
    async with bench.work() as work, work.browsers.lease() as lease:
        await log_in(lease.page, standin)
        kept = await lease.page.evaluate("({...localStorage})")
    assert set(kept) == {
        "rdp-composer-active-project",
        "rdp-composer-projects",
        "rdp-composer-user-info",
        "rdp-composer-user-data",
        "custom_colors",
    }
    assert json.loads(kept["rdp-composer-user-data"])["access_token"] == standin.token
    assert json.loads(kept["rdp-composer-active-project"])["key"] == standin.project_key


@pytest.mark.parametrize("route", ["embed/auth-with-token/pt_br/home/p/x.y.z", "embed/composer", "nowhere"])
async def test_a_page_that_cannot_be_shown_stays_blank(bench: Bench, standin: Standin, route: str) -> None:
    async with bench.work() as work, work.browsers.lease() as lease:
        await lease.page.goto(f"{standin.app_url}/#/{route}")
        await lease.page.wait_for_load_state("networkidle")
        assert (await lease.page.inner_text("body")).strip() == ""


async def test_a_composition_is_made_and_saved_by_hand(bench: Bench, standin: Standin) -> None:
    title = f"À mão {uuid4().hex[:8]}"
    async with bench.work() as work, work.browsers.lease() as lease:
        page = lease.page
        await log_in(page, standin)
        await page.get_by_role("button", name="Nova composição").click()
        await expect(page.get_by_text("Sem título")).to_be_visible()
        menu = page.get_by_role("banner").get_by_role("button").first
        await menu.click()
        for text in ("Salvar composição", "Configurações", "Histórico de versões", "Preview"):
            await expect(page.get_by_text(text, exact=True)).to_be_visible()
        await page.get_by_text("Configurações").click()
        await page.get_by_label("Título").fill(title)
        await page.get_by_label("Descrição").fill("Feita por uma pessoa")
        await page.get_by_role("button", name="Salvar", exact=True).click()
        await menu.click()
        await page.get_by_text("Salvar composição").click()
        await page.wait_for_url("**/#/embed/composer/H4sIAAAA*")
        await expect(page.get_by_text(title)).to_be_visible()
    (found,) = standin.compositions(title)
    assert page.url.endswith(found["uid"])


async def test_a_save_in_the_editor_is_a_new_version_and_blocks_an_old_change(
    bench: Bench, standin: Standin
) -> None:
    title = f"Aula {uuid4().hex[:8]}"
    lesson = Lesson.model_validate({"title": title, "elements": [{"type": "text", "text": "Oi"}]})
    async with bench.work() as work, work.browsers.lease() as lease:
        saved = await handlers.run(CreateComposition(lesson=lesson), work)
        page = lease.page
        await log_in(page, standin)
        await page.goto(saved.url)
        menu = page.get_by_role("banner").get_by_role("button").first
        await menu.click()
        await page.get_by_text("Configurações").click()
        await page.get_by_label("Descrição").fill("Mudada no editor")
        await page.get_by_role("button", name="Salvar", exact=True).click()
        await menu.click()
        async with page.expect_response("**/versions/dynamic*"):
            await page.get_by_text("Salvar composição").click()
        read = await work.composer.read(saved.uid)
        assert read.description == "Mudada no editor"
        request = UpdateComposition(uid=saved.uid, change={"title": "x"}, expected_version=saved.version)
        with pytest.raises(Exception, match="changed by somebody else"):
            await handlers.run(request, work)
    assert standin.compositions(title)[0]["versions"] == 2
