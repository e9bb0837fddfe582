"""The way to Composer, tried step by step: what fails is a finding for the operator, not an error."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from composer_mcp.composer import editor, facts
from composer_mcp.errors import ComposerError
from composer_mcp.jobs.requests import CheckConnection, ConnectionReport, ConnectionStep
from composer_mcp.jobs.work import Work

#: A step that takes longer is one that fails, whatever it would have found.
STEP_SECONDS = 20.0
Step = Callable[[Work], Awaitable[object]]


async def check(request: CheckConnection, work: Work) -> ConnectionReport:
    """Try everything that the tools need of Composer; the steps do not depend on each other."""
    steps: dict[str, tuple[str, Step, float]] = {
        "account": ("Asking Composer who we are", _account, STEP_SECONDS),
        "project": ("Looking at the project", _project, STEP_SECONDS),
        "compositions": ("Searching for compositions", _compositions, STEP_SECONDS),
        "templates": ("Searching for templates", _templates, STEP_SECONDS),
    }
    if request.browser:
        # Waiting for a browser and logging in have limits of their own; this one is for both.
        limit = STEP_SECONDS + work.composer.settings.editor_timeout_seconds
        steps["editor"] = ("Logging in to the editor", _login, limit)
    found = []
    for number, (name, (message, step, limit)) in enumerate(steps.items()):
        await work.progress(number / len(steps), message)
        found.append(await _one(name, step, limit, work))
    await work.progress(1.0, "The connection is tested")
    return ConnectionReport(ok=all(step.ok for step in found), steps=found)


async def _one(name: str, step: Step, limit: float, work: Work) -> ConnectionStep:
    began = time.monotonic()
    problem = remedy = None
    try:
        async with asyncio.timeout(limit) as scope:
            await step(work)
    except ComposerError as error:
        problem, remedy = error.sentence, error.remedy
    except TimeoutError:
        if not scope.expired():
            raise
        problem = f"Composer did not answer within {limit:g} s."
        remedy = "Try again in a minute; if it stays so, look at the network and at Composer itself."
    return ConnectionStep(
        name=name,
        ok=problem is None,
        seconds=round(time.monotonic() - began, 3),
        problem=problem,
        remedy=remedy,
    )


async def _account(work: Work) -> None:
    await work.composer.who_am_i()


async def _project(work: Work) -> None:
    await work.composer.project()


async def _compositions(work: Work) -> None:
    await work.composer.search()


async def _templates(work: Work) -> None:
    await work.composer.search(facts.template_type(facts.TEMPLATE_WIDGETS[0]))


async def _login(work: Work) -> None:
    async with editor.opened(work.browsers, work.composer) as opened:
        await opened.log_in()
