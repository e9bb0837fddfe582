"""What is known of Composer stands in one place: when Composer changes, one line changes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import composer_mcp

PACKAGE = Path(composer_mcp.__file__).parent
#: Where such things may stand, and why.
PLACES = {
    "composer/facts.py": "the place",
    "composer/settings.py": "the defaults of what an operator may change",
    "observability/masking.py": "what a secret looks like in a text, wherever it comes from",
}
#: Pieces of routes, headers, texts and keys of Composer.
FACTS = (
    "/auth/v1", "/storage/v1", "embed/", "auth-with-token", "rdp-composer", "rdpcomposer", "digitalpages",
    "euconquisto.com", "Project-Key", "Api-Env", "access_token", "manual_project_uid", "content_type eq",
    "Nova composição", "Salvar composição",
)  # fmt: skip


def texts(path: Path) -> Iterator[str]:
    """Every text in a program but its documentation."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value


@pytest.mark.parametrize("folder", ["composer", "jobs", "browser", "mcp", "observability", "."])
def test_no_fact_about_composer_stands_anywhere_else(folder: str) -> None:
    pattern = "*.py" if folder == "." else "**/*.py"
    found = [
        f"{path.relative_to(PACKAGE)}: {fact}"
        for path in sorted((PACKAGE / folder).glob(pattern))
        if str(path.relative_to(PACKAGE)) not in PLACES
        for text in texts(path)
        for fact in FACTS
        if fact in text
    ]
    assert found == []


def test_the_facts_are_where_they_are_said_to_be() -> None:
    told = " ".join(text for place in PLACES for text in texts(PACKAGE / place))
    assert [fact for fact in FACTS[:12] if fact not in told] == []
