"""Shortcuts are found wherever they are taken, and ordinary code is left alone."""

import pytest

from tools.housecheck import complaints


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("src/a.py", "import x  # noqa: F401\n"),
        ("src/a.py", "x = y  # type: ignore[assignment]\n"),
        ("roles/a/tasks/main.yml", "  ignore_errors: true\n"),
        ("roles/a/tasks/main.yml", "  failed_when: false\n"),
        ("roles/a/tasks/main.yml", "  no_log: true\n"),
        ("scripts/a.sh", "umount /x || true\n"),
        ("scripts/a.sh", "curl -sS -k https://x\n"),
        ("src/a.py", "client(verify=False)\n"),
        ("src/a.py", "# TODO: later\n"),
        ("requirements/a.txt", "--index-url https://example.org/simple\n"),
        ("requirements/node/package-lock.json", '"resolved": "https://example.org/x.tgz",\n'),
        ("src/a.py", "x = 1\n" * 401),
    ],
)
def test_a_shortcut_is_found(name: str, text: str):
    assert len(list(complaints(name, text))) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("src/a.py", "def method() -> bool:\n    return True\n"),
        ("roles/a/tasks/main.yml", '  no_log: "{{ a_secure_logging }}"\n'),
        ("scripts/a.sh", "curl --cacert ca.crt https://x\n"),
        ("docs/a.md", "Never `verify=False`.\n"),
        ("requirements/dev.txt", "x==1\n" * 2000),
    ],
)
def test_ordinary_text_is_left_alone(name: str, text: str):
    assert list(complaints(name, text)) == []
