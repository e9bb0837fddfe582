"""Renders the gateway's configuration as the role does, without a host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).resolve().parents[3] / "roles/haproxy"
SITE = {
    "composer_public_url": "https://composer.example.org/mcp",
    "openbao_issuer": "https://vault.example.org:8200",
    "haproxy_servers": {"app1": "192.0.2.11", "app2": "192.0.2.12:8102"},
    "ansible_managed": "managed",
    "ansible_facts": {"distribution_major_version": "12"},
    # Lookup plugins are not loaded here.
    "_haproxy_sources": "the template's text",
}

Render = Callable[..., str]


@pytest.fixture
def render() -> Render:
    """Render one template of the role; keyword arguments are what an inventory sets."""

    def with_variables(name: str, **variables: Any) -> str:
        loader = DataLoader()
        given = [
            loader.load_from_file(str(ROLE / part / "main.yml"), trusted_as_template=True)
            for part in ("defaults", "vars")
        ]
        tree = ROLE / "templates" / name.split("/", 1)[0]
        templar = Templar(loader=loader, variables={**given[0], **given[1], **SITE, **variables})
        templar = templar.copy_with_new_env(
            searchpath=[str(tree)], available_variables={**given[0], **given[1], **SITE, **variables}
        )
        text = trust_as_template((ROLE / "templates" / name).read_text())
        overrides = {"trim_blocks": True, "lstrip_blocks": True}
        return str(templar.template(text, escape_backslashes=False, overrides=overrides))

    return with_variables


@pytest.fixture
def config(render: Render) -> str:
    """The gateway's configuration for a site with two application hosts."""
    return render("edge/etc/haproxy/haproxy.cfg.j2")
