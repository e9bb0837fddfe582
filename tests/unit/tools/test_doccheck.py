"""Documents that point at nothing are found."""

from pathlib import Path

import pytest

from tools import doccheck


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(doccheck, "ROOT", tmp_path)
    (tmp_path / "Makefile").write_text("test: setup ## every layer\nlab lab-down: setup\n")
    (tmp_path / "docs/decisions").mkdir(parents=True)
    (tmp_path / "docs/decisions/README.md").write_text("[one](0001-one.md)")
    (tmp_path / "docs/decisions/0001-one.md").write_text("# One\n")
    return tmp_path


def found(project: Path, text: str) -> list[str]:
    page = project / "docs/page.md"
    page.write_text(text)
    return [complaint.text for complaint in doccheck.complaints([page])]


@pytest.mark.parametrize(
    "text",
    [
        "[one](decisions/0001-one.md)",
        "[here](#how-to-start)\n\n## How to start",
        "[there](decisions/0001-one.md#one)",
        "[elsewhere](https://example.org/nothing)",
        "`make lab-down` and then\n\n    make test\n",
        "we make progress",
        "```\n[not a link](nowhere.md)\n```",
        "`docs/decisions/README.md`",
    ],
)
def test_what_exists_is_accepted(project: Path, text: str):
    assert found(project, text) == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[x](nowhere.md)", "leads nowhere"),
        ("[x](../../etc/passwd)", "leads out of the project"),
        ("[x](#nothing)", "a heading that the page does not have"),
        ("`make coffee`", "not a target"),
        ("    make coffee HOST=app1\n", "not a target"),
        ("`docs/missing.md`", "does not exist"),
    ],
)
def test_what_is_missing_is_found(project: Path, text: str, complaint: str):
    (only,) = found(project, text)
    assert complaint in only


def test_a_decision_that_the_index_forgets_is_found(project: Path):
    (project / "docs/decisions/0002-two.md").write_text("# Two\n")
    assert found(project, "nothing here") == ["does not link to 0002-two.md"]
