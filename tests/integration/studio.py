"""A platform with everything that a teacher's calls need: web, worker, Chromium, the stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .composer_fixtures import Chromium, Standin
from .conftest import new_platform
from .support.authority import Authority
from .support.installation import Platform
from .support.issuer import Issuer
from .support.postgres import Postgres

MODERN, LEGACY = "2026-07-28", "legacy"
LESSON: dict[str, Any] = {
    "title": "Fotossíntese",
    "description": "Como as plantas produzem o próprio alimento.",
    "author": "Ana Lima",
    "subject": "science",
    "grade": "7º ano",
    "tags": ["biologia"],
    "elements": [
        {"type": "text", "title": "A luz", "text": "As plantas produzem o próprio alimento."},
        {
            "type": "quiz",
            "questions": [
                {
                    "question": "De que gás as plantas precisam?",
                    "choices": [{"text": "Gás carbônico", "correct": True}, {"text": "Hélio"}],
                }
            ],
        },
    ],
}


@pytest.fixture(scope="module")
def studio(
    tmp_path_factory: pytest.TempPathFactory,
    postgres: Postgres,
    issuer: Issuer,
    authority: Authority,
    standin_process: Standin,
    chromium: Chromium,
) -> Iterator[Platform]:
    """The web with two processes, one worker; Composer never fails by chance."""
    standin_process.calm()
    with new_platform(tmp_path_factory.mktemp("studio"), postgres, issuer, authority) as platform:
        (platform.credentials / "composer-token").write_text(standin_process.token)
        (platform.credentials / "composer-project-key").write_text(standin_process.project_key)
        platform.configure(
            web={"workers": 2},
            composer=standin_process.settings().model_dump(exclude_unset=True),
            browser=chromium.settings().model_dump(exclude_unset=True),
        )
        platform.start_web()
        platform.start_worker()
        yield platform
