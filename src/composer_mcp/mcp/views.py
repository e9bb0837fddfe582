"""What the tools answer, made of what the jobs returned: no more than a language model needs to go on.

Every result is sent as structured content and again as text, so each field may cost twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from composer_mcp.composition import html
from composer_mcp.jobs.engine import JobRecord, JobState
from composer_mcp.jobs.requests import AnyResult, CompositionRead, CompositionSaved, Preview, Versions
from composer_mcp.store.compositions import short_id

#: Older ones are counted, not listed.
VERSIONS_SHOWN = 30
PREVIEWS = "composer://previews/"
#: Where the text stands that tells a reader which widget this is, best first.
TELLING = ("content_title", "title", "content", "question", "description", "front", "text", "caption")


class SavedView(CompositionSaved):
    """A composition as Composer has it after a write."""

    id: str


class WidgetView(BaseModel):
    """One widget of an outline."""

    id: str | None = None
    type: str | None = None
    summary: str | None = None


class CompositionView(BaseModel):
    """A composition: its outline, or with `document` all of it."""

    uid: str
    url: str
    title: str
    version: str
    description: str | None = None
    author: str | None = None
    tags: list[str] | None = None
    widgets: list[WidgetView] | None = None
    document: dict[str, Any] | None = None


class PreviewView(BaseModel):
    """What the editor showed."""

    uid: str
    final_url: str
    page_title: str
    load_seconds: float
    editor_ready: bool
    composition_loaded: bool
    console_errors: list[str]
    network_errors: list[str]
    picture: str | None = Field(default=None, description="resource with the PNG")
    picture_width: int
    picture_height: int
    picture_complete: bool


class VersionView(BaseModel):
    """One saved version."""

    version_uid: str
    created_at: datetime | None = None
    size: int | None = None


class VersionsView(BaseModel):
    """The saved versions, newest first."""

    uid: str
    total: int
    versions: list[VersionView]


class JobView(BaseModel):
    """A job as it is now."""

    job_id: uuid.UUID
    kind: str
    state: JobState
    progress: float = Field(description="0 to 1")
    message: str | None = None
    created_at: datetime
    finished_at: datetime | None = None
    result: dict[str, Any] | None = Field(default=None, description="what the call would have returned")
    error: dict[str, Any] | None = None


def of(result: AnyResult, job_id: uuid.UUID) -> BaseModel:
    """Return what a tool shows of the result of a job."""
    match result:
        case CompositionSaved():
            return SavedView(id=short_id(result.uid), **result.model_dump())
        case CompositionRead():
            return _composition(result)
        case Preview():
            return _preview(result, job_id)
        case Versions():
            return _versions(result)
        case _:
            return result


def job(record: JobRecord) -> JobView:
    """Return a job as it is now, with its result or its error once it has one."""
    return JobView(
        job_id=record.id,
        kind=record.kind,
        state=record.state,
        progress=1.0 if record.state is JobState.SUCCEEDED else record.progress,
        message=record.progress_message or None,
        created_at=record.created_at,
        finished_at=record.finished_at,
        result=plain(of(record.outcome(), record.id)) if record.state is JobState.SUCCEEDED else None,
        error=record.error,
    )


def plain(view: BaseModel) -> dict[str, Any]:
    """Return a view as JSON values, without what is not known."""
    return view.model_dump(mode="json", exclude_none=True)


def _composition(read: CompositionRead) -> CompositionView:
    view = CompositionView(uid=read.uid, url=read.url, title=read.title, version=read.version)
    if read.detail == "full":
        view.document = read.document
        return view
    metadata, structure = read.document.get("metadata"), read.document.get("structure")
    if isinstance(metadata, dict):
        view.description = str(metadata.get("description") or "") or None
        tags = metadata.get("tags")
        view.tags = [str(tag) for tag in tags] if isinstance(tags, list) else None
    if isinstance(structure, list):
        view.author = next(filter(None, map(_author, structure)), None)
        view.widgets = [_widget(raw) for raw in structure]
    return view


def _author(raw: Any) -> str | None:
    name = raw.get("author_name") if isinstance(raw, dict) else None
    return html.first_words(name) or None if isinstance(name, str) else None


def _widget(raw: Any) -> WidgetView:
    if not isinstance(raw, dict):
        return WidgetView()
    identity, kind = raw.get("id"), raw.get("type")
    return WidgetView(
        id=identity if isinstance(identity, str) else None,
        type=kind if isinstance(kind, str) else None,
        summary=next(_telling(raw), None),
    )


def _telling(raw: dict[str, Any]) -> Iterator[str]:
    """Yield the beginnings of a widget's texts, then of those of its first parts, best first."""
    for name in TELLING:
        if isinstance(raw.get(name), str) and (words := html.first_words(raw[name])):
            yield words
    for part in raw.values():
        if isinstance(part, list) and part and isinstance(part[0], dict):
            for words in _telling(part[0]):
                yield f"{len(part)}: {words}"


def _preview(preview: Preview, job_id: uuid.UUID) -> PreviewView:
    picture = None if preview.picture is None else f"{PREVIEWS}{job_id}"
    return PreviewView(**preview.model_dump(exclude={"picture"}), picture=picture)


def _versions(found: Versions) -> VersionsView:
    shown = [
        VersionView(version_uid=version.version_uid, created_at=version.created_at, size=version.size)
        for version in found.versions[:VERSIONS_SHOWN]
    ]
    return VersionsView(uid=found.uid, total=len(found.versions), versions=shown)
