"""The preview as an MCP App: a page that hosts which can show one put beside the tool's result.

The page is whole in itself, loads nothing, and may run only its own script. Messages between page and host
follow the MCP Apps specification of 2026-01-26 (``io.modelcontextprotocol/ui``). Other clients get the same
picture and text from the tool itself.
"""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources
from typing import Any

from mcp.server.apps import Apps, ResourceCsp

URI = "ui://euconquisto-composer/preview.html"
#: What the tool says of itself, so that a host knows which page shows its results.
META: dict[str, Any] = {"ui": {"resourceUri": URI}}


def page() -> str:
    """Return the page, with a policy that names its script and its style by their hashes."""
    text = resources.files(__package__).joinpath("preview_app.html").read_text(encoding="utf-8")
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"script-src {_hash(text, 'script')}; style-src {_hash(text, 'style')}"
    )
    return text.replace("@CSP@", policy)


def extension() -> Apps:
    """Return the extension of the protocol that serves the page."""
    apps = Apps()
    apps.add_html_resource(
        URI,
        page(),
        name="preview",
        title="Preview of a composition",
        csp=ResourceCsp(connect_domains=[], resource_domains=[], frame_domains=[], base_uri_domains=[]),
        prefers_border=True,
    )
    return apps


def _hash(text: str, element: str) -> str:
    found = re.search(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
    if found is None:
        raise ValueError(f"the page has no {element}")
    return f"'sha256-{base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()}'"
