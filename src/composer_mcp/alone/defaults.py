"""What a configuration without ``[database]`` leaves out has its place on this machine: which, is said here.

These functions complete the values of the configuration before ``settings`` checks them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

#: Names the issuer that a server running alone is for itself, and what its tokens are for.
LOCAL_ISSUER = "urn:composer-mcp:local"
PORT = 8101
#: The first that is installed: Debian's, the smaller one before the complete one, then what others have.
BROWSERS = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)


def filled(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values, and for everything left out what suits a server for one user on this machine."""
    try:
        folder = Path(values.get("state_directory") or default_state_directory()).expanduser().absolute()
    except RuntimeError as error:
        raise ValueError("state_directory is required, because this user has no home directory") from error
    url = str(values.get("public_url") or f"http://127.0.0.1:{PORT}/mcp")
    host = urlsplit(url).netloc
    port = host.rpartition(":")[2] if is_local(host) else PORT
    here = {
        "public_url": url,
        "allowed_hosts": sorted({host, f"127.0.0.1:{port}", f"localhost:{port}"}),
        "object_store": {"url": f"file://{folder}/artifacts"},
        "issuers": [local_issuer(folder)],
        "web": {},
        "browser": {},
    }
    all_values = here | values | {"state_directory": folder}
    web = all_values["web"]
    if isinstance(web, dict) and "workers" not in web:
        # One process answers all calls, so clients of the older protocol can have sessions.
        all_values["web"] = {"workers": 1, "sessions": True} | web
    browser = all_values["browser"]
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if isinstance(browser, dict) and "executable" not in browser and found is not None:
        all_values["browser"] = {"executable": found} | browser
    return all_values


def local_issuer(folder: Path) -> dict[str, Any]:
    """The issuer that a server is for itself; its keys are read from a file, without a network."""
    keys = (folder / "issuer" / "keys.json").as_uri()
    return {"issuer": LOCAL_ISSUER, "jwks_url": keys, "audience": LOCAL_ISSUER}


def default_state_directory() -> Path:
    """Where a server that runs alone keeps everything, unless it is told."""
    announced = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if announced:
        return Path(announced)
    return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state") / "composer-mcp"


def is_local(host: str) -> bool:
    """Whether a ``host:port`` of the configuration can only mean this machine."""
    return host.startswith("/") or host.rsplit(":", 1)[0] in {"127.0.0.1", "localhost", "[::1]"}
