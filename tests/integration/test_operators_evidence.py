"""Operators see what a page showed when a job failed, by command and over HTTP; nobody else does."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from composer_mcp.store import database
from composer_mcp.store.job_evidence import PostgresJobEvidence

from .support.installation import Platform

JOB = "00000000-0000-0000-0000-000000000007"
OTHER = "00000000-0000-0000-0000-000000000008"
INSERT = """
insert into job (id, tenant, idempotency_key, kind, arguments, arguments_hash, class, fairness_tag, priority,
                 correlation_id, deadline)
values ('{id}', 'school', '{id}', 'preview_composition', '{{}}', 'h', 1, 1, -1, 'c', now())
"""
SEEN = {"final_url": "https://composer.example/", "console_errors": ["it broke"], "network_errors": []}
PICTURE = b"\xff\xd8\xff a window"
PATIENCE_SECONDS = 30


@pytest.fixture
def failed(platform: Platform) -> Platform:
    """A platform on which two jobs failed, one of them with a page open."""
    for job in (JOB, OTHER):
        platform.sql(INSERT.format(id=job))
    password = platform.secrets.read("database-password")
    options = database.connection_options(platform.settings.postgresql, password, application="test")

    async def keep() -> None:
        async with asyncpg.create_pool(min_size=0, max_size=1, **options) as pool:
            await PostgresJobEvidence(pool).keep(UUID(JOB), 2, SEEN, PICTURE)

    asyncio.run(keep())
    return platform


def get(platform: Platform, path: str, subject: str, **claims: Any) -> httpx.Response:
    token = platform.issuer.token(sub=subject, **claims)
    return httpx.get(
        f"http://127.0.0.1:{platform.port}/admin/v1/jobs/{path}",
        headers={"Authorization": f"Bearer {token}"},
        timeout=20,
    )


def test_the_command_tells_it_and_writes_the_picture(failed: Platform, tmp_path: Path) -> None:
    window = tmp_path / "window.jpg"
    told = json.loads(failed.run("jobs", "evidence", JOB, "--picture", str(window), "--json"))
    assert told["job_id"] == JOB and told["attempt"] == 2 and told["picture"] is True
    assert {name: told[name] for name in SEEN} == SEEN
    assert window.read_bytes() == PICTURE and window.stat().st_mode & 0o777 == 0o600
    assert "it broke" in failed.run("jobs", "evidence", JOB)
    command = failed.command("jobs", "evidence", OTHER)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "Nothing is kept of what a page showed" in done.stderr


def test_over_http_operators_see_it_and_nobody_else(failed: Platform) -> None:
    failed.start_web()
    failed.run("user", "add", "op", "--role", "operator", "--tenant", "office")
    operator = {"subject": "op", "tenant": "office", "scope": "jobs:operate"}
    give_up = time.monotonic() + PATIENCE_SECONDS
    while (answer := get(failed, f"{JOB}/evidence", **operator)).status_code == 403:
        assert time.monotonic() < give_up, answer.text
    assert answer.status_code == 200
    assert answer.json()["console_errors"] == ["it broke"] and answer.json()["picture"] is True
    shown = get(failed, f"{JOB}/picture", **operator)
    assert (shown.content, shown.headers["Content-Type"]) == (PICTURE, "image/jpeg")
    assert shown.headers["Cache-Control"] == "no-store"
    assert get(failed, f"{OTHER}/evidence", **operator).json()["code"] == "evidence_unknown"
    assert get(failed, f"{OTHER}/picture", **operator).status_code == 404
    # The job's own tenant, with every scope that teachers have, and one that only claims to operate.
    owner = get(failed, f"{JOB}/evidence", "ana", tenant="school", scope="jobs:read compositions:read")
    claims = get(failed, f"{JOB}/picture", "ana", tenant="school", scope="jobs:operate")
    assert (owner.status_code, claims.status_code) == (403, 403)
