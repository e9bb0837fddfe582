"""What a job is asked to do and what it answers: the models that cross the queue.

A request is validated before it is queued; a worker never sees an invalid one. Nothing here knows how
a job is stored (``engine``) or how it is done (``handlers``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticSerializationError

from composer_mcp.browser.extent import Extent
from composer_mcp.composition.lesson import CompositionChange, Lesson

#: Languages of what the server itself writes: names, descriptions, lesson templates.
Language = Literal["pt_BR", "en"]
#: How much of a composition a caller wants to see: what it consists of, or everything.
Detail = Literal["outline", "full"]


class Request(BaseModel):
    """Base of all requests; ``kind`` selects the handler."""

    model_config = ConfigDict(extra="forbid")


class CreateComposition(Request):
    """Write a new composition made from a lesson."""

    kind: Literal["create_composition"] = "create_composition"
    lesson: Lesson


class GetComposition(Request):
    """Read one composition; ``detail`` says how much of it the caller is shown."""

    kind: Literal["get_composition"] = "get_composition"
    uid: str
    detail: Detail = "full"


class UpdateComposition(Request):
    """Change one composition; ``expected_version`` guards against overwriting somebody else's edit."""

    kind: Literal["update_composition"] = "update_composition"
    uid: str
    change: CompositionChange
    expected_version: str | None = None


class PreviewComposition(Request):
    """Open one composition in the editor and take a picture, unless none is wanted."""

    kind: Literal["preview_composition"] = "preview_composition"
    uid: str
    picture: Extent = "page"


class ListVersions(Request):
    """List the saved versions of one composition."""

    kind: Literal["list_versions"] = "list_versions"
    uid: str


class DuplicateComposition(Request):
    """Write a copy of one composition; without ``title`` the copy has the title of the original."""

    kind: Literal["duplicate_composition"] = "duplicate_composition"
    uid: str
    title: str | None = None


class RestoreVersion(Request):
    """Make an earlier version of one composition the present one again; ``expected_version`` as above."""

    kind: Literal["restore_version"] = "restore_version"
    uid: str
    version_uid: str
    expected_version: str | None = None


class ListTemplates(Request):
    """List the lesson templates of this server and the element templates of the project."""

    kind: Literal["list_templates"] = "list_templates"
    language: Language = "pt_BR"


class GetTemplate(Request):
    """Read one template."""

    kind: Literal["get_template"] = "get_template"
    template_id: str
    language: Language = "pt_BR"


class ApplyTemplate(Request):
    """Put a template's elements into the composition ``uid``, or without it make a new one of them.

    ``position`` (0 is the top, None the end) and ``expected_version`` matter only with ``uid``.
    ``title`` and ``author`` matter only without it, and replace those of the template. ``values`` fill the
    placeholders of a lesson template; the others stay in brackets, for the teacher.
    """

    kind: Literal["apply_template"] = "apply_template"
    template_id: str
    language: Language = "pt_BR"
    uid: str | None = None
    position: int | None = None
    expected_version: str | None = None
    title: str | None = None
    author: str | None = None
    values: dict[str, str] = Field(default_factory=dict, max_length=200)


class CheckConnection(Request):
    """Try the way to Composer step by step; with ``browser`` also a login in the editor."""

    kind: Literal["check_connection"] = "check_connection"
    browser: bool = False


AnyRequest = (
    CreateComposition
    | GetComposition
    | UpdateComposition
    | PreviewComposition
    | ListVersions
    | DuplicateComposition
    | RestoreVersion
    | ListTemplates
    | GetTemplate
    | ApplyTemplate
    | CheckConnection
)


class Result(BaseModel):
    """Base of all results."""

    def as_json(self) -> str:
        """Return the result as JSON that every store can keep.

        Half a character, as editors in JavaScript leave them in a text, stays an escape.
        """
        try:
            return self.model_dump_json()
        except PydanticSerializationError:
            return json.dumps(self.model_dump(mode="python"), default=str)


class CompositionSaved(Result):
    """A composition as Composer has it after a write."""

    uid: str
    url: str = Field(description="where a person opens it in Composer")
    title: str
    version: str = Field(description="content hash of the saved document; pass it back when you update")
    widgets: int
    created: bool = Field(description="false when an earlier call with the same idempotency key had made it")
    saved_by_others: list[str] = Field(
        default_factory=list,
        description="versions that somebody else saved at the very same moment: see list_versions",
    )


class CompositionRead(Result):
    """A composition as read from Composer."""

    uid: str
    url: str
    title: str
    version: str
    document: dict[str, object] = Field(description="the whole document, unknown fields included")
    detail: Detail = Field(default="full", description="as it was asked for")


class Preview(Result):
    """What the editor showed."""

    uid: str
    final_url: str = Field(description="address without credentials")
    page_title: str
    load_seconds: float
    editor_ready: bool
    composition_loaded: bool
    console_errors: list[str]
    network_errors: list[str]
    picture: str | None = Field(description="artifact key of the PNG picture, if there is one")
    picture_width: int = Field(description="pixels; 0 without a picture, as the height")
    picture_height: int
    picture_complete: bool = Field(default=True, description="false when the page is longer than the picture")


class Version(BaseModel):
    """One saved version."""

    version_uid: str
    created_at: datetime | None = None
    user_uid: str | None = None
    size: int | None = None


class Versions(Result):
    """All saved versions of one composition, newest first."""

    uid: str
    versions: list[Version]


class TemplateSummary(BaseModel):
    """One template, as a list shows it."""

    template_id: str = Field(description="`lesson:<name>` of this server, `element:<uid>` of the project")
    name: str
    description: str = ""
    widget_types: list[str] = Field(default_factory=list, description="what it puts into a composition")


class Templates(Result):
    """All templates, this server's first."""

    templates: list[TemplateSummary]
    problems: list[str] = Field(
        default_factory=list, description="what could not be listed, and why; the rest is complete"
    )


class Template(Result):
    """One template with its content."""

    template_id: str
    name: str
    description: str = ""
    lesson: dict[str, object] | None = Field(
        default=None, description="a lesson template: fill it in and give it to create_composition"
    )
    placeholders: list[str] = Field(
        default_factory=list, description="what stands in [brackets] in the lesson, to be filled in"
    )
    widgets: list[dict[str, object]] | None = Field(
        default=None, description="an element template: the widgets as Composer keeps them"
    )


class ConnectionStep(BaseModel):
    """One step of a connection test."""

    name: str
    ok: bool
    seconds: float
    problem: str | None = Field(default=None, description="what is wrong")
    remedy: str | None = Field(default=None, description="what to do about it")


class ConnectionReport(Result):
    """Whether Composer can be used; a step that fails is a result, not an error."""

    ok: bool
    steps: list[ConnectionStep]


AnyResult = CompositionSaved | CompositionRead | Preview | Versions | Templates | Template | ConnectionReport


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of a kind of job before one is done.

    ``expected_seconds`` is the time of one attempt when all is well; ``writes`` says whether it changes
    anything in Composer.
    """

    request: type[AnyRequest]
    result: type[AnyResult]
    expected_seconds: float
    writes: bool = False

    @property
    def interactive(self) -> bool:
        """Whether somebody looks on while it is done: it only reads, and is over soon."""
        return not self.writes

    @property
    def queue_class(self) -> int:
        """Its line in the queue: 0 for short jobs, 1 for long ones."""
        return 0 if self.interactive else 1

    @property
    def cost(self) -> int:
        """What a job costs its tenant in the order of the queue, in tenths of a second."""
        return max(1, round(self.expected_seconds * 10))


#: Every kind of job, by name.
KINDS: dict[str, Kind] = {
    "create_composition": Kind(CreateComposition, CompositionSaved, 3, writes=True),
    "get_composition": Kind(GetComposition, CompositionRead, 1),
    "update_composition": Kind(UpdateComposition, CompositionSaved, 4, writes=True),
    "preview_composition": Kind(PreviewComposition, Preview, 8),
    "list_versions": Kind(ListVersions, Versions, 0.5),
    "duplicate_composition": Kind(DuplicateComposition, CompositionSaved, 4, writes=True),
    "restore_version": Kind(RestoreVersion, CompositionSaved, 4, writes=True),
    "list_templates": Kind(ListTemplates, Templates, 2),
    "get_template": Kind(GetTemplate, Template, 1),
    "apply_template": Kind(ApplyTemplate, CompositionSaved, 4, writes=True),
    "check_connection": Kind(CheckConnection, ConnectionReport, 5),
}
#: How the request and the result of each kind are read back from the queue.
REQUESTS: dict[str, type[AnyRequest]] = {name: kind.request for name, kind in KINDS.items()}
RESULTS: dict[str, type[AnyResult]] = {name: kind.result for name, kind in KINDS.items()}
