"""Settings of the browser pool."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class BrowserSettings(BaseModel):
    """How Chromium is started and when it is replaced."""

    model_config = ConfigDict(extra="forbid")

    executable: Path = Field(default=Path("/usr/bin/chromium"), description="Chromium or its headless shell")
    headless: bool = Field(default=True, description="false: on a display, which DISPLAY must name")
    concurrency: int = Field(default=2, ge=1, le=32, description="contexts open at the same time")
    launch_timeout_seconds: float = Field(
        default=30, gt=0, le=300, description="how long a start of Chromium may take"
    )
    lease_wait_seconds: float = Field(default=60, gt=0, le=600, description="wait for a free context")
    warm_spare: bool = Field(default=True, description="keep one page open ahead of the next job")
    spare_seconds: float = Field(
        default=600, gt=0, le=24 * 3600, description="a spare page that nobody took for so long is replaced"
    )
    recycle_after_leases: int = Field(default=200, ge=1, description="a new browser after this many contexts")
    recycle_after_seconds: float = Field(default=6 * 3600, gt=0, description="a new browser after this age")
    recycle_above_mib: int = Field(
        default=900,
        ge=100,
        description="a new browser when its processes use this much (proportional set size)",
    )
    page_limit_mib: int = Field(
        default=700, ge=100, description="a page whose process uses more is stopped; its job fails"
    )
    watch_seconds: float = Field(default=1, gt=0, le=60, description="how often memory is looked at")
    idle_seconds: float = Field(
        default=300,
        gt=0,
        description="a server that runs alone closes a browser that was not used for so long",
    )
    allowed_hosts: list[str] = Field(
        default_factory=list, description="hosts that pages may reach besides those of Composer"
    )
    viewport_width: int = Field(default=1280, ge=320, le=3840, description="pixels that a page has")
    viewport_height: int = Field(default=800, ge=240, le=2160, description="pixels, see viewport_width")
    picture_max_height: int = Field(default=8000, ge=240, le=16000, description="a taller page is cut")
    picture_max_bytes: int = Field(
        default=4 * 1024 * 1024,
        ge=100_000,
        le=64 * 1024 * 1024,
        description="a larger picture is cut further, so that a client can take it in one message",
    )
    temporary_directory: Path | None = Field(default=None, description="default: the system's")
