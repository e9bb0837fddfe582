"""Templates of three sources: lessons of this server and of its operator, and elements of Composer's project.

What is stored as an element template is not confirmed by captured data: a widget, a list of widgets, or an
object with a ``structure`` of widgets are understood. Only what the project's search lists as a template is
read as one; otherwise anybody's composition could be read by its uid.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from composer_mcp.composer import facts, writes
from composer_mcp.composer.edits import Insertion
from composer_mcp.composer.meaning import NOTHING_CHANGED, Described
from composer_mcp.composition import building, copies
from composer_mcp.composition import templates as shipped
from composer_mcp.composition.compose import compose
from composer_mcp.composition.document import derived_id
from composer_mcp.composition.elements import Heading
from composer_mcp.composition.json_values import TooMuch, has_only_finite_numbers, measure, storable
from composer_mcp.composition.lesson import Lesson
from composer_mcp.errors import (
    COMPOSER_CHANGED,
    NOTHING_TO_COPY,
    TEMPLATE_NOT_FOUND,
    UNKNOWN_PLACEHOLDER,
    ComposerError,
)
from composer_mcp.jobs.handlers import ownership
from composer_mcp.jobs.handlers.saving import change, create
from composer_mcp.jobs.requests import (
    ApplyTemplate,
    CompositionSaved,
    GetTemplate,
    ListTemplates,
    Template,
    Templates,
    TemplateSummary,
)
from composer_mcp.jobs.work import Work

LESSON = "lesson:"
ELEMENT = "element:"
#: Bounds of what one list holds and of what one template may be.
MAX_LISTED = 200
MAX_WIDGETS = 100
MAX_DEPTH = 100
MAX_PARTS = 100_000
#: Wrong names that one error tells.
MAX_NAMED = 5
#: Searches at a time; one per type of widget.
SEARCHES = 4


async def listed(request: ListTemplates, work: Work) -> Templates:
    """List all templates; those that Composer cannot list now are told as a problem."""
    await work.progress(0.2, "Asking Composer for its templates")
    found, failures = await _elements(work)
    problems = _told(failures)
    if len(found) > MAX_LISTED:
        problems.append(f"The project has {len(found)} templates; the newest {MAX_LISTED} are listed.")
    own, trouble = await work.artifacts.templates.offered(work.tenant, request.language)
    names = {each.name for each in own}
    come_with = [each for each in shipped.templates(request.language) if each.name not in names]
    await work.progress(1.0, "The templates are listed")
    lessons = [
        TemplateSummary(
            template_id=LESSON + each.name,
            name=each.title,
            description=each.description,
            widget_types=each.element_types,
        )
        for each in own + come_with
    ]
    newest = sorted(found.values(), key=lambda each: each[1].saved_at, reverse=True)
    elements = [_summary(widget, entry) for widget, entry in newest[:MAX_LISTED]]
    return Templates(templates=lessons + elements, problems=problems + trouble)


async def read(request: GetTemplate, work: Work) -> Template:
    """Return one template with its content.

    Raises:
        template_not_found, composer_changed, composer_unavailable.
    """
    await work.progress(0.2, "Reading the template")
    if request.template_id.startswith(ELEMENT):
        found = await _element(request.template_id, work)
        found = found.model_copy(update={"widgets": storable(found.widgets)})
    else:
        lesson = await _lesson(request.template_id, request.language, work)
        found = Template(
            template_id=request.template_id,
            name=lesson.title,
            description=lesson.description,
            lesson=lesson.lesson,
            placeholders=lesson.placeholders,
        )
    await work.progress(1.0, "The template is read")
    return found


async def apply(request: ApplyTemplate, work: Work) -> CompositionSaved:
    """Put a template's widgets into a composition, or make a new one of them.

    Raises:
        composition_not_found, template_not_found, unknown_placeholder, nothing_to_copy, invalid_lesson, and
            what saving raises.
    """
    if request.uid is not None:
        await ownership.check(request.uid, work)
    await work.progress(0.1, "Reading the template")
    seed = writes.seed_of(work.tenant, work.idempotency_key)
    media = work.composer.settings.media_url
    is_element = request.template_id.startswith(ELEMENT)
    if is_element:
        _check_values(request, [])
        template = await _element(request.template_id, work)
        widgets = template.widgets or []
        if not widgets:
            raise NOTHING_TO_COPY.error(what=f"The template {request.template_id}")
        lesson = Lesson(title=template.name, elements=[Heading(title=request.title or template.name)])
    else:
        chosen = await _lesson(request.template_id, request.language, work)
        _check_values(request, chosen.placeholders)
        lesson = shipped.filled(chosen, request.values)
        widgets = [
            building.widget(element, derived_id(seed, number), media)
            for number, element in enumerate(lesson.elements)
        ]
    if request.uid is not None:
        insertion = Insertion(widgets, seed, request.position)
        return await change(request.uid, insertion, work, request.expected_version)
    document = compose(_named(lesson, request), seed, media)
    if is_element:
        # The heading has the first id of the seed; the others come from one that follows from it.
        document = copies.inserted(document, widgets, uuid.uuid5(seed, "template"))
    return await create(document, seed, work)


async def _lesson(template_id: str, language: str, work: Work) -> shipped.LessonTemplate:
    name = template_id.removeprefix(LESSON)
    found = None
    if name != template_id:
        found = await work.artifacts.templates.find(work.tenant, name, language)
        found = found or shipped.template(name, language)
    if found is None:
        raise TEMPLATE_NOT_FOUND.error(template_id=template_id)
    return found


def _check_values(request: ApplyTemplate, placeholders: list[str]) -> None:
    unknown = sorted(request.values.keys() - set(placeholders))
    if unknown:
        names = ", ".join(f"“{name}”" for name in unknown[:MAX_NAMED])
        raise UNKNOWN_PLACEHOLDER.error(template_id=request.template_id, names=names)


def _named(lesson: Lesson, request: ApplyTemplate) -> Lesson:
    if request.author and isinstance(lesson.elements[0], Heading):
        heading = lesson.elements[0].model_copy(update={"author_name": request.author})
        lesson = lesson.model_copy(update={"elements": [heading, *lesson.elements[1:]]})
    given = {"title": request.title, "author": request.author}
    return lesson.model_copy(update={name: value for name, value in given.items() if value is not None})


async def _elements(work: Work) -> tuple[dict[str, tuple[str, Described]], dict[str, ComposerError]]:
    """Return the project's element templates by uid, each with its widget's type, and failures by type."""
    found: dict[str, tuple[str, Described]] = {}
    failures: dict[str, ComposerError] = {}
    limit = asyncio.Semaphore(SEARCHES)

    async def search(widget: str) -> None:
        try:
            async with limit:
                entries, _ = await work.composer.search(facts.template_type(widget))
        except ComposerError as error:
            failures[widget] = error
        else:
            found.update({entry.content_uid: (widget, entry) for entry in entries})

    async with asyncio.TaskGroup() as group:
        for widget in facts.TEMPLATE_WIDGETS:
            group.create_task(search(widget))
    return found, failures


def _told(failures: dict[str, ComposerError]) -> list[str]:
    by_sentence: dict[str, list[str]] = {}
    for widget, error in sorted(failures.items()):
        by_sentence.setdefault(error.sentence, []).append(widget)
    return [
        f"Templates for {', '.join(types)} could not be listed: {sentence}"
        for sentence, types in by_sentence.items()
    ]


def _summary(widget: str, entry: Described) -> TemplateSummary:
    made = "" if entry.last_modified is None else f" ({entry.last_modified:%Y-%m-%d %H:%M})"
    name = " ".join("".join(c if c.isprintable() else " " for c in entry.name or "").split())
    return TemplateSummary(
        template_id=ELEMENT + entry.content_uid,
        name=name[:200].rstrip() or f"{widget}{made}",
        widget_types=[widget],
    )


async def _element(template_id: str, work: Work) -> Template:
    uid = template_id.removeprefix(ELEMENT)
    known, failures = await _elements(work)
    if uid not in known:
        for error in failures.values():
            # It may be among those that could not be listed: nobody knows that there is none.
            raise error
        raise TEMPLATE_NOT_FOUND.error(template_id=template_id)
    widget, entry = known[uid]
    summary = _summary(widget, entry)
    return Template(
        template_id=template_id, name=summary.name, widgets=_widgets(await work.composer.content(uid))
    )


def _widgets(content: Any) -> list[dict[str, Any]]:
    """Return the widgets of an element template.

    Raises:
        composer_changed: it has none of the forms that are understood.
    """
    try:
        measure(content, MAX_DEPTH, MAX_PARTS)
    except TooMuch as problem:
        raise COMPOSER_CHANGED.error(what=f"a template ({problem})", saved=NOTHING_CHANGED) from None
    if isinstance(content, dict) and isinstance(content.get("structure"), list):
        content = content["structure"]
    found = content if isinstance(content, list) else [content]
    good = all(isinstance(widget, dict) and isinstance(widget.get("type"), str) for widget in found)
    if not good or len(found) > MAX_WIDGETS or not has_only_finite_numbers(found):
        raise COMPOSER_CHANGED.error(what="a template", saved=NOTHING_CHANGED)
    return found
