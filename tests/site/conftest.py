"""One lab for all tests of this folder: stood up from nothing, removed at the end.

SITE_KEEP=1 leaves it standing, and uses one that stands; for whoever works on these tests.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import dry_run
import pytest
from site_lab import Site


@dataclass(frozen=True)
class Standing:
    """What `lab up` said when it made the lab, Ansible's most talkative output, and a dry run before."""

    said: str
    ansible: str
    dry: dry_run.Dry | None


@pytest.fixture(scope="session")
def site() -> Site:
    """The platform, standing or not."""
    return Site()


@pytest.fixture(scope="session", autouse=True)
def standing(site: Site) -> Iterator[Standing]:
    """The lab is up while the tests of this folder run."""
    keep = os.environ.get("SITE_KEEP") == "1"
    dry = None
    if not keep:
        site.command("down")
        dry = dry_run.on_bare_hosts(site)
    # Talkative from the first run on, when everything is written: that is when a secret would be shown.
    done = site.command("up", ANSIBLE_VERBOSITY="3", ANSIBLE_DIFF_ALWAYS="1")
    if done.returncode != 0:
        pytest.fail(f"the lab does not stand:\n{done.stdout[-4000:]}")
    yield Standing(done.stdout, (site.lab.out / "site.log").read_text(encoding="utf-8"), dry)
    if not keep:
        site.command("down")


@pytest.fixture(scope="session")
def bearer(site: Site, standing: Standing) -> str:
    """A teacher's token."""
    return site.token("teacher")


@pytest.fixture(scope="session")
def reader(site: Site, standing: Standing) -> str:
    """A token of somebody of another school who may only look."""
    return site.token("reader")
