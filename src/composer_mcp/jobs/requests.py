"""What a job is asked to do and what it answers: the models that cross the queue.

A request is validated before it is queued; a worker never sees an invalid one. Nothing here knows how
a job is stored (``engine``) or how it is done (``handlers``).
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from composer_mcp.composition.lesson import CompositionChange, Lesson


class Request(BaseModel):
    """Base of all requests; ``kind`` selects the handler."""

    model_config = ConfigDict(extra="forbid")


class CreateComposition(Request):
    """Write a new composition made from a lesson."""

    kind: Literal["create_composition"] = "create_composition"
    lesson: Lesson


class GetComposition(Request):
    """Read one composition."""

    kind: Literal["get_composition"] = "get_composition"
    uid: str


class UpdateComposition(Request):
    """Change one composition; ``expected_version`` guards against overwriting somebody else's edit."""

    kind: Literal["update_composition"] = "update_composition"
    uid: str
    change: CompositionChange
    expected_version: str | None = None


class PreviewComposition(Request):
    """Open one composition in the editor and take a picture."""

    kind: Literal["preview_composition"] = "preview_composition"
    uid: str


class ListVersions(Request):
    """List the saved versions of one composition."""

    kind: Literal["list_versions"] = "list_versions"
    uid: str


AnyRequest = CreateComposition | GetComposition | UpdateComposition | PreviewComposition | ListVersions


class CompositionSaved(BaseModel):
    """A composition as Composer has it after a write."""

    uid: str
    url: str = Field(description="where a person opens it in Composer")
    title: str
    version: str = Field(description="content hash of the saved document; pass it back when you update")
    widgets: int
    created: bool = Field(description="false when an earlier call with the same idempotency key had made it")


class CompositionRead(BaseModel):
    """A composition as read from Composer."""

    uid: str
    url: str
    title: str
    version: str
    document: dict[str, object] = Field(description="the whole document, unknown fields included")


class Preview(BaseModel):
    """What the editor showed."""

    uid: str
    final_url: str = Field(description="address without credentials")
    page_title: str
    load_seconds: float
    editor_ready: bool
    composition_loaded: bool
    console_errors: list[str]
    network_errors: list[str]
    picture: str = Field(description="artifact key of the PNG picture")
    picture_width: int
    picture_height: int


class Version(BaseModel):
    """One saved version."""

    version_uid: str
    created_at: datetime | None = None
    user_uid: str | None = None
    size: int | None = None


class Versions(BaseModel):
    """All saved versions of one composition, newest first."""

    uid: str
    versions: list[Version]


AnyResult = CompositionSaved | CompositionRead | Preview | Versions

#: Every kind of job: how its request and its result are read back from the queue.
REQUESTS: dict[str, type[AnyRequest]] = {
    "create_composition": CreateComposition,
    "get_composition": GetComposition,
    "update_composition": UpdateComposition,
    "preview_composition": PreviewComposition,
    "list_versions": ListVersions,
}
RESULTS: dict[str, type[AnyResult]] = {
    "create_composition": CompositionSaved,
    "get_composition": CompositionRead,
    "update_composition": CompositionSaved,
    "preview_composition": Preview,
    "list_versions": Versions,
}
