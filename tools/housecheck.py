"""python -m tools.housecheck: shortcuts that the project does not take, looked for in every tracked file.

Each rule names what it forbids and why. There is no way to switch a rule off for one line: where a rule is
wrong, the rule changes, here, for everybody to see.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tools.tracked import ROOT, tracked

LONGEST_FILE = 400
TEXT_LIMIT_BYTES = 2_000_000


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern that must not occur in files with these endings (an empty tuple: in every file)."""

    pattern: re.Pattern[str]
    why: str
    endings: tuple[str, ...] = ()


CODE = (".py", ".yml", ".yaml", ".j2", ".sh", ".service", ".cfg", ".toml", "Makefile")
RULES: Sequence[Rule] = (
    Rule(re.compile(r"#\s*no" r"qa\b"), "a finding is mended, not silenced", CODE),
    Rule(re.compile(r"#\s*type:\s*ig" r"nore"), "a type is stated, not waved through", CODE),
    Rule(
        re.compile(r"\bignore_" r"errors:\s*true"), "a task that may fail says when, with failed_when", CODE
    ),
    Rule(re.compile(r"\bfailed_" r"when:\s*false"), "a task that cannot fail proves nothing", CODE),
    Rule(re.compile(r"\|\|\s*tr" r"ue\b"), "a failure is handled or reported, not dropped", CODE),
    Rule(re.compile(r"--no-" r"sandbox"), "Chromium's sandbox stays on", CODE),
    Rule(re.compile(r"\bcurl\b[^\n|]*\s(-k|--insec" r"ure)\b"), "TLS is verified", CODE),
    Rule(re.compile(r"\bverify\s*=\s*Fal" r"se\b"), "TLS is verified", CODE),
    Rule(re.compile(r"\bvalidate_certs:\s*(false|no)\b"), "TLS is verified", CODE),
    Rule(re.compile(r"except (Base)?Exception:\s*pass\b"), "an error is handled or raised", CODE),
    Rule(
        re.compile(r"^\s*no_log:\s*true\s*$", re.MULTILINE), "use the role's secure-logging switch", (".yml",)
    ),
    Rule(
        re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b"),
        "what is missing goes to the plan, not into code",
        CODE,
    ),
    Rule(re.compile(r"--index-url|--extra-index-url|--find-links https?:"), "locks name no index", (".txt",)),
    Rule(re.compile(r'"resolved": "http'), "locks name no index", ("package-lock.json",)),
    Rule(re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/]{40}"), "no key is ever committed"),
)
# The rules themselves, and texts about them.
EXEMPT = ("tools/housecheck.py", "tests/unit/tools/test_housecheck.py")
GENERATED = (
    "requirements/",
    "docs/reference/",
    "CHANGELOG",
    "LICENSE",
    "changelogs/",
    "benchmarks/results/",
    "benchmarks/peers/devsec.txt",
    "benchmarks/peers/fastmcp.txt",
)


def complaints(name: str, text: str) -> Iterator[str]:
    """What the rules find in one file."""
    if name in EXEMPT:
        return
    for rule in RULES:
        if rule.endings and not name.endswith(rule.endings):
            continue
        for match in rule.pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{name}:{line}: {match.group(0).strip()!r}: {rule.why}"
    length = text.count("\n")
    if length > LONGEST_FILE and not name.startswith(GENERATED):
        yield f"{name}: {length} lines; a file of more than {LONGEST_FILE} holds several ideas"


def main() -> int:
    """Print what is wrong; the exit code says whether anything is."""
    found = 0
    names = tracked()
    for name in names:
        path = ROOT / name
        if path.stat().st_size > TEXT_LIMIT_BYTES:
            print(f"{name}: {path.stat().st_size} bytes; nothing this large belongs into the history")
            found += 1
            continue
        data = path.read_bytes()
        if b"\0" in data:
            continue
        for complaint in complaints(name, data.decode("utf-8", "replace")):
            print(complaint)
            found += 1
    print(f"{len(names)} files, {found} complaints")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
