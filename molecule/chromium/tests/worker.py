"""Opens pages as the worker's unit does."""

from __future__ import annotations

from typing import Any


def open_page_on(host: Any, command: str) -> str:
    """Run a command confined like the worker; returns what it printed on standard output."""
    host.check_output("systemctl start page")
    host.run(f"cat > /opt/page/command <<'END'\n{command}\nEND")
    host.run("systemctl reset-failed composer-worker@1; systemctl start --wait composer-worker@1")
    return str(host.file("/opt/page/output").content_string)
