"""Where things are when nobody says where: names that the command line needs before anything is read.

Nothing here needs a library, so that ``--help`` and completion start quickly.
"""

from __future__ import annotations

from pathlib import Path

from composer_mcp.alone.defaults import PORT

#: The first that exists is read when none is named.
DEFAULT_CONFIG = Path("/etc/composer-mcp/config.toml")
USER_CONFIG = Path("composer-mcp/config.toml")
PORTS = {"blue": PORT, "green": 8102}
