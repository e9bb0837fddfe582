"""Settings of the third-party application: where it is and how patient we are with it.

Token and project key are not settings: they are secrets, see ``composer_mcp.settings.Credentials``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _https_base(text: str) -> str:
    if not text.startswith("https://"):
        raise ValueError("must start with https://")
    return text.rstrip("/")


HttpsBase = Annotated[str, AfterValidator(_https_base)]


class ComposerSettings(BaseModel):
    """One project of one Composer."""

    model_config = ConfigDict(extra="forbid")

    app_url: HttpsBase = Field(
        default="https://composer.euconquisto.com", description="where the editor is; `https://` only"
    )
    api_url: HttpsBase = Field(
        default="https://api.digitalpages.com.br", description="where its storage is; `https://` only"
    )
    project_uid: str = Field(
        min_length=1,
        max_length=200,
        pattern=r"^[\w.-]+$",
        description="project in which all compositions are kept",
    )
    connector_uid: str = Field(
        min_length=1, max_length=200, pattern=r"^[\w.-]+$", description="connector of that project"
    )
    api_env: str = Field(
        default="prd", pattern=r"^[a-z]+$", description="environment of the storage that is asked for"
    )
    interface_language: str = Field(
        default="pt_br", pattern=r"^[a-z]{2}(_[a-z]{2})?$", description="language of the editor's pages"
    )
    authority: Path | None = Field(
        default=None, description="certificate authority to trust besides the system's (PEM)"
    )
    media_url: HttpsBase = Field(
        default="https://pocs.digitalpages.com.br/rdpcomposer/media",
        description="where Composer keeps the default pictures of headings",
    )
    connect_timeout_seconds: float = Field(
        default=5, gt=0, le=60, description="how long Composer may need to take a connection"
    )
    request_timeout_seconds: float = Field(
        default=30, gt=0, le=120, description="how long Composer may need to answer one try"
    )
    attempts: int = Field(default=4, ge=1, le=10, description="tries of one request, the first included")
    retry_budget_seconds: float = Field(default=45, gt=0, le=300, description="no new try after this time")
    retry_first_delay_seconds: float = Field(
        default=0.25, ge=0, le=10, description="pause before the second try; it doubles with each"
    )
    retry_longest_delay_seconds: float = Field(
        default=4, ge=0, le=60, description="longest pause between two tries"
    )
    settle_seconds: float = Field(
        default=5, ge=0, le=60, description="how long a write of unknown outcome may need to become visible"
    )
    settle_poll_seconds: float = Field(
        default=0.5, gt=0, le=10, description="how often it is looked for meanwhile"
    )
    retry_reserve: int = Field(
        default=40, ge=0, le=1000, description="repetitions a process may make when everything fails"
    )
    retry_share: float = Field(default=0.2, ge=0, le=1, description="and for each call so many more")
    breaker_failures: int = Field(
        default=8, ge=1, le=100, description="after so many failures in a row Composer is left alone"
    )
    breaker_pause_seconds: float = Field(default=10, gt=0, le=300, description="for so long at first")
    breaker_longest_pause_seconds: float = Field(
        default=60, gt=0, le=600, description="and at most for so long, when it goes on failing"
    )
    answer_limit_bytes: int = Field(
        default=16 * 1024 * 1024, ge=1024, le=256 * 1024 * 1024, description="largest answer, unpacked"
    )
    editor_timeout_seconds: float = Field(default=30, gt=0, le=120, description="login and opening, each")
    login_snapshot_seconds: float = Field(
        default=8 * 3600,
        ge=0,
        le=7 * 24 * 3600,
        description="how long a page's login is kept, sealed, for the next page of the tenant; 0: never",
    )
    working_copy_seconds: float = Field(
        default=5, ge=0, le=60, description="how long the editor may need to keep its working copy"
    )
    pictures_seconds: float = Field(
        default=5, ge=0, le=60, description="how long a preview waits for fonts and pictures"
    )
