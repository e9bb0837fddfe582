"""Errors are values: told in full, stored, and read back."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from composer_mcp import errors
from composer_mcp.errors import ComposerError, ErrorCode


@pytest.mark.parametrize("code", ErrorCode.registry.values(), ids=lambda code: code.code)
def test_every_error_can_be_told_without_its_details(code: ErrorCode) -> None:
    told = json.loads(json.dumps(code.error().as_dict()))
    assert told["code"] == code.code and told["message"] and told["remedy"]
    assert 200 <= code.status < 600


def test_an_error_survives_storage() -> None:
    stored = json.loads(
        json.dumps(errors.QUEUE_FULL.error(waiting=3, whose="x", limit=3, retry_after=9).as_dict())
    )
    again = ComposerError.from_dict(stored)
    assert again.code is errors.QUEUE_FULL and again.as_dict() == stored
    assert ComposerError.from_dict({"code": "from the future"}).code is errors.INTERNAL


def test_the_table_lists_every_code() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "composer_mcp.errors"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    for code in ErrorCode.registry:
        assert f"| `{code}` |" in printed
