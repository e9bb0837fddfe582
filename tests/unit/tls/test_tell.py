"""The watch tells of what is there in the end, whatever is replaced while it looks or tells."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.host_programs import load

PROGRAM = Path(__file__).parents[3] / "roles/tls/files/usr/local/lib/composer-certificate/tell"
UNIT = {"unit": "front.service", "certificates": ["host"]}


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(PROGRAM.parent))
    yield load(PROGRAM)
    sys.modules.pop("pair", None)


def renew(folder: Path) -> None:
    """A new certificate with its key, as openssl makes them."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{folder}/host.key"]
    certificate = ["-subj", "/CN=front.example.org", "-days", "9", "-out", f"{folder}/host.crt"]
    subprocess.run(["openssl", "req", "-x509", *key, *certificate], check=True, capture_output=True)


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    renew(tmp_path)
    files = [str(tmp_path / name) for name in ("host.crt", "host.key")]
    entry = {"certificate": files[0], "key": files[1], "files": files}
    given = {"certificates": {"host": entry}, "units": [UNIT]}
    (tmp_path / "settings.json").write_text(json.dumps(given), encoding="utf-8")
    return entry


def run(program: ModuleType, folder: Path) -> int:
    return int(program.main(str(folder / "settings.json"), str(folder / "state.json")))


def told(folder: Path) -> Any:
    return json.loads((folder / "state.json").read_text(encoding="utf-8"))["host"]


def test_a_certificate_that_is_away_for_a_moment_is_waited_for(
    program: ModuleType, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(program, "tell", lambda unit: calls.append(unit["unit"]))
    away = tmp_path / "away"
    away.mkdir()
    for name in ("host.crt", "host.key"):
        (tmp_path / name).rename(away / name)

    def come_back(_seconds: float) -> None:
        for path in away.iterdir():
            path.rename(tmp_path / path.name)

    monkeypatch.setattr(program.time, "sleep", come_back)
    assert run(program, tmp_path) == 0
    assert calls == ["front.service"] and told(tmp_path) == program.digest(settings["files"])


def test_one_that_does_not_come_is_said_and_nobody_is_told(
    program: ModuleType,
    tmp_path: Path,
    settings: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    monkeypatch.setattr(program, "PAIR_SECONDS", 0)
    monkeypatch.setattr(program, "tell", lambda unit: pytest.fail("told"))
    (tmp_path / "host.key").unlink()
    assert run(program, tmp_path) == 1
    assert "are not there, or do not belong together. No service was told" in capsys.readouterr().err


def test_what_changes_while_services_are_told_is_told_in_the_same_run(
    program: ModuleType, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def tell(unit: dict[str, Any]) -> None:
        calls.append(unit["unit"])
        if len(calls) == 1:
            renew(tmp_path)

    monkeypatch.setattr(program, "tell", tell)
    assert run(program, tmp_path) == 0
    assert len(calls) == 2 and told(tmp_path) == program.digest(settings["files"])
    assert run(program, tmp_path) == 0 and len(calls) == 2
