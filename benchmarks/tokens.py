"""python -m benchmarks.tokens: what our tools cost a language model, in round trips and tokens.

Counted with the vocabulary ``o200k_base``, which the tokenizer's package carries with it. A client may show
its model a tool's description and arguments only, or all that ``tools/list`` answers; the limits are held
against all of it. Of a result the text is counted, which every client shows.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import gzip
import hashlib
import json
import sys
import uuid
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import bpe_openai

from benchmarks.measure import Promise, Report, Row

NAME = "tokens"
VOCABULARY = "o200k_base"
LIST_LIMIT = 6_000
HERE = Path(__file__).parent
TEACHER = ("compositions:read", "compositions:write", "jobs:read")
EDITOR = "https://composer.euconquisto.com/#/embed/composer/"


@functools.cache
def _encoding() -> Any:
    with warnings.catch_warnings():
        # How the package opens its vocabulary is its own affair.
        warnings.simplefilter("ignore", DeprecationWarning)
        return bpe_openai.get_encoding(VOCABULARY)


def count(text: str) -> int:
    """Return the number of tokens of a text."""
    return len(_encoding().encode(text))


def count_json(value: object) -> int:
    """Return the number of tokens of a value, written as short as JSON can be."""
    return count(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def shown(tool: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a tool that every client shows its model."""
    return {name: tool[name] for name in ("name", "description", "inputSchema") if name in tool}


async def our_tools(scopes: Sequence[str] = TEACHER) -> list[dict[str, Any]]:
    """Return our tools as ``tools/list`` answers them to a token with these scopes."""
    from composer_mcp.mcp import server
    from composer_mcp.security import caller

    def lifespan(_server: object) -> Any:
        raise AssertionError("nothing is served here")

    who = caller.Caller("https://issuer.test", "teacher", "school", frozenset(scopes), 9e9)
    token = caller.current.set(who)
    try:
        tools = await server.build(lifespan).list_tools()
    finally:
        caller.current.reset(token)
    return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]


def uid_of(seed: int) -> str:
    """A uid of Composer's form: a gzip member of one stored block, base64; its content says nothing to us."""
    content = b"".join(hashlib.sha256(f"{seed}:{number}".encode()).digest() for number in range(12))[:354]
    member = gzip.compress(content, compresslevel=0, mtime=0)
    return base64.urlsafe_b64encode(member).decode().rstrip("=")


def lesson() -> dict[str, Any]:
    """The lesson that both flows bring into Composer."""
    content: dict[str, Any] = json.loads((HERE / "lesson.json").read_text(encoding="utf-8"))
    return content


def seven_steps() -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The tools of the reconstructed flow, and the result of each for the lesson."""
    from composer_mcp.composition.compose import compose
    from composer_mcp.composition.problems import check_lesson

    flow = json.loads((HERE / "seven_steps.json").read_text(encoding="utf-8"))
    document = compose(check_lesson(lesson()), uuid.UUID(int=1)).to_json()
    uid = uid_of(1)
    results: dict[str, Any] = flow["results"]
    results["build_composition"] = {"success": True, "composition": document}
    results["save_composition"] = {
        "uid": uid,
        "success": True,
        "document": {
            "content_uid": uid,
            "content_type": "digitalpages/composer",
            "content_size": len(json.dumps(document, ensure_ascii=False).encode()),
            "project_uid": str(uuid.UUID(int=2)),
            "user_uid": str(uuid.UUID(int=3)),
            "created_at": "2026-11-24T10:00:00Z",
            "last_modified": "2026-11-24T10:00:00Z",
            "processing_status": "Pending",
        },
    }
    results["open_composition"]["final_url"] = EDITOR + uid
    return flow["tools"], results


async def our_result() -> str:
    """The text that our one call answers for the lesson."""
    from composer_mcp.jobs.requests import CompositionSaved
    from composer_mcp.mcp import results, views

    uid = uid_of(1)
    saved = CompositionSaved(
        uid=uid, url=EDITOR + uid, title=lesson()["title"], version="f" * 16, widgets=7, created=True
    )
    content = results.success(views.of(saved, uuid.UUID(int=4))).content
    return "".join(part.text for part in content if part.type == "text")


async def run() -> Report:
    """Count both flows and our list of tools."""
    flow = json.loads((HERE / "seven_steps.json").read_text(encoding="utf-8"))
    report = Report(NAME, "What a composition costs the language model", flow["about"])
    tools = await our_tools()
    ours = {tool["name"]: tool for tool in tools}
    answer = await our_result()
    their_tools, their_results = seven_steps()
    one = ours["create_composition"]
    for who, trips, described, answered, listed in (
        (
            "seven steps",
            len(their_tools),
            their_tools,
            sum(map(count_json, their_results.values())),
            their_tools,
        ),
        ("composer-mcp", 1, [one], count(answer), tools),
    ):
        report.rows.append(
            Row(
                "one lesson into Composer",
                who,
                {
                    "round trips": trips,
                    "descriptions of the tools used": sum(count_json(shown(tool)) for tool in described),
                    "results": answered,
                    "both": sum(count_json(shown(tool)) for tool in described) + answered,
                    "whole list as sent": count_json(listed),
                },
            )
        )
    for tool in tools:
        figures = {"as sent": count_json(tool), "shown to every model": count_json(shown(tool))}
        report.rows.append(Row("tools/list", tool["name"], figures))
    before, now = (row.figures for row in report.rows[:2])
    report.promises += [
        Promise(
            "round trips over those of the seven steps",
            now["round trips"] / before["round trips"],
            1 / 3,
            "x",
        ),
        Promise(
            "tokens of the descriptions of the tools used and of the results, over those of the seven steps",
            now["both"] / before["both"],
            1 / 3,
            "x",
        ),
        Promise("tokens of tools/list for a teacher's token", count_json(tools), LIST_LIMIT),
    ]
    return report


def main() -> int:
    """Print the counts; 1 when a limit is exceeded."""
    report = asyncio.run(run())
    for row in report.rows:
        print(f"{row.what:<26} {row.who:<24} {dict(row.figures)}")
    for promise in report.promises:
        verdict = "holds " if promise.holds else "MISSED"
        print(f"{verdict} {promise.text}: {promise.value:.3f} (limit {promise.limit:.3f})")
    return 0 if all(promise.holds for promise in report.promises) else 1


if __name__ == "__main__":
    sys.exit(main())
