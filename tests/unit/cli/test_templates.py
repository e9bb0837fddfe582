"""composer-mcp template: an operator keeps, lists and removes lesson templates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from composer_mcp.cli import cli
from composer_mcp.errors import ComposerError
from composer_mcp.errors.kinds import ConfigurationError

LESSON = {"title": "[topic]", "elements": [{"type": "text", "title": "Why", "text": "[reason]"}]}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "config.toml").write_text(
        f'state_directory = "{tmp_path}/state"\n[composer]\nproject_uid = "p"\nconnector_uid = "c"\n'
        f'[object_store]\nurl = "file://{tmp_path}/objects"\n'
    )
    return tmp_path


def run(place: Path, *words: str, code: int = 0) -> Any:
    done = CliRunner().invoke(cli, ["template", *words, "--config", str(place / "config.toml"), "--json"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return json.loads(done.stdout) if code == 0 else done.output


def audited(place: Path) -> list[dict[str, Any]]:
    done = CliRunner().invoke(cli, ["audit", "list", "--config", str(place / "config.toml"), "--json"])
    assert done.exit_code == 0, done.output
    found: Any = json.loads(done.stdout)
    entries: list[dict[str, Any]] = found if isinstance(found, list) else found["entries"]
    return sorted(entries, key=lambda entry: int(entry["number"]))


def keep(place: Path, **changes: Any) -> str:
    file = place / "lesson.json"
    file.write_text(json.dumps({"title": "Ours", "description": "d", "lesson": LESSON} | changes))
    return str(file)


def test_a_template_is_kept_listed_and_removed(place: Path) -> None:
    assert run(place, "list") == []
    run(place, "put", "review", keep(place), "--tenant", "school")
    run(place, "put", "trip", keep(place, title="Trip"), "--language", "en")
    shown = [(each["name"], each["tenant"], each["language"], each["title"]) for each in run(place, "list")]
    assert shown == [("trip", None, "en", "Trip"), ("review", "school", "pt_BR", "Ours")]
    assert run(place, "remove", "review", "--tenant", "school")["removed"] is True
    actions = audited(place)
    assert [(each["action"], each["target"]) for each in actions] == [
        ("template.put", "review.pt_BR"),
        ("template.put", "trip.en"),
        ("template.remove", "review.pt_BR"),
    ]
    assert "there is no template review" in run(place, "remove", "review", "--tenant", "school", code=1)


def test_a_broken_one_is_not_kept_and_one_that_is_there_is_shown_with_its_reason(place: Path) -> None:
    with pytest.raises(ConfigurationError, match="nothing else"):
        run(place, "put", "review", keep(place, more=1))
    with pytest.raises(ComposerError, match="lesson"):
        run(place, "put", "review", keep(place, lesson={"title": "x", "elements": [{"type": "nonsense"}]}))
    assert run(place, "list") == []
    run(place, "put", "review", keep(place))
    (file,) = (place / "objects").rglob("review.pt_BR.json")
    file.write_text("{")
    assert "not JSON" in run(place, "list")[0]["problem"]
