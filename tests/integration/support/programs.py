"""Server programs that Debian does not package; ``python -m tools.artifacts`` fetches them once."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[3] / ".cache" / "artifacts" / "bin"


def program(name: str) -> str:
    """Return the path of a program."""
    path = FOLDER / name
    assert path.is_file(), f"{path} is missing: run python -m tools.artifacts"
    return str(path)
