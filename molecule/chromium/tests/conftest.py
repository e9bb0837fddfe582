"""Opens pages on the host that a test is about."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from worker import open_page_on

OpenPage = Callable[[str], str]


@pytest.fixture
def open_page(host: Any) -> OpenPage:
    """Run a command confined like the worker; returns what it printed on standard output."""
    return functools.partial(open_page_on, host)
