"""Writes ``docs/tools.md``: what a client is offered, read from what the server offers.

``python -m composer_mcp.mcp.reference`` prints the page, ``--write FILE`` replaces a file by it, ``--check
FILE`` fails if the file is another one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mcp.server.mcpserver.tools import Tool

from composer_mcp.composition import catalogue
from composer_mcp.composition.lesson import CompositionChange, Lesson
from composer_mcp.composition.schema import alternatives, full
from composer_mcp.mcp import prompts, resources, tools
from composer_mcp.security.caller import SCOPES

HEAD = """\
# Tools, prompts and resources

This page is written by `python -m composer_mcp.mcp.reference` from the code that serves them; `make docs`
renews it.

A call that succeeds answers with structured content, and with the same as text in compact JSON, so that
either suffices alone. A uid has about 505 characters, some 330 tokens: where a `uid` is asked for, the
composition's address will do, and for one's own compositions the `id` of 16 characters that results carry;
the text leaves the uid out where one of these stands beside it.
A call that fails answers with `isError` and an error of [the table](errors.md), told in the text with every
problem, its place and the nearest valid form.

*Job*: the call is durable. Repeated with the same `idempotency_key` and arguments it is not done twice;
clients that declare the [tasks extension](tasks.md) get a task, others progress and the result.

*Asks first*: a person is asked through the client before anything is taken away. A client that cannot ask
its user says with `confirm` that it has; without, the answer is `confirmation_needed` and nothing is done.
"""


def page() -> str:
    """Return the whole page."""
    return "\n".join(
        [
            HEAD,
            *_overview(),
            *(line for tool in tools.ALL for line in _tool(tool)),
            *_lesson(),
            *_prompts(),
            *_resources(),
        ]
    )


def _overview() -> Iterator[str]:
    yield "| tool | for | scope | kind |"
    yield "|---|---|---|---|"
    for tool in tools.ALL:
        yield f"| [`{tool.name}`](#{tool.name}) | {tool.title} | `{SCOPES[tool.name]}` | {_kind(tool)} |"
    yield ""


def _kind(tool: Tool) -> str:
    hints = tool.annotations
    asks = "confirm" in tool.parameters["properties"]
    words = [
        "reads"
        if hints and hints.read_only_hint
        else "changes"
        if hints and hints.destructive_hint
        else "adds",
        "asks first" if asks else "",
        "job" if tool.name in tools.DURABLE else "",
    ]
    return ", ".join(filter(None, words))


def _tool(tool: Tool) -> Iterator[str]:
    yield f"## {tool.name}"
    yield f"{tool.description}"
    yield ""
    fields = tool.parameters["properties"]
    if fields:
        yield "| argument | type | meaning |"
        yield "|---|---|---|"
        for name, field in fields.items():
            type_ = words(field) + (", required" if name in tool.parameters.get("required", ()) else "")
            yield f"| `{name}` | {type_} | {_cell(field.get('description', ''))} |"
        yield ""
    results = (tool.output_schema or {})["properties"]
    yield "Returns " + ", ".join(f"`{name}` ({words(field)})" for name, field in results.items()) + "."
    yield ""


def words(field: dict[str, Any]) -> str:
    """Return the type and limits of a field in a few words."""
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    form = alternatives(field)[0]
    kind = form.get("type", "any")
    match kind:
        case "array":
            inner = "objects" if "oneOf" in form["items"] else f"{words(form['items'])}s"
            text = f"list of {inner}"
        case "integer":
            text = "whole number"
        case "string":
            text = {"date-time": "time", "uuid": "id"}.get(form.get("format", ""), "text")
        case _:
            text = str(kind)
    if "maximum" in form:
        text += f", {form['minimum']:g} to {form['maximum']:g}"
    if form.get("default") is not None:
        text += f", default `{form['default']}`"
    return text


def _lesson() -> Iterator[str]:
    yield "# A lesson"
    yield (
        "What `create_composition` and `validate_lesson` take. Its `elements` are told below; if the first "
        "is no heading, one is made of title, subject, grade and author."
    )
    yield ""
    yield from _fields(full(Lesson))
    for kind in catalogue.widget_types("en").types:
        about = catalogue.describe(kind.type, "en")
        doubt = "" if about.confirmed else " How Composer stores it is not confirmed; look at a preview."
        yield f"## Element: {kind.type}"
        yield f"{about.purpose} In documents: `{about.composer_type}`.{doubt}"
        yield ""
        yield "| field | type | limits | meaning |"
        yield "|---|---|---|---|"
        for field in about.fields:
            required = ", required" if field.required else ""
            typed = f"{field.type}{required}"
            yield f"| `{field.name}` | {typed} | {field.limits or ''} | {_cell(field.meaning)} |"
        yield ""
    yield "# A change"
    yield "What `update_composition` takes as `change`; the steps of `widgets` are done in order."
    yield ""
    schema = full(CompositionChange)
    yield from _fields(schema)
    yield "| step | fields |"
    yield "|---|---|"
    for form in alternatives(schema["properties"]["widgets"]["items"]):
        fields = {name: field for name, field in form["properties"].items() if "const" not in field}
        told = ", ".join(
            f"`{name}`" + ("" if name in form.get("required", ()) else " (may be left out)")
            for name in fields
        )
        yield f"| `{form['properties']['action']['const']}` | {told} |"
    yield ""


def _fields(schema: dict[str, Any]) -> Iterator[str]:
    yield "| field | type | limits | meaning |"
    yield "|---|---|---|---|"
    for name, field in schema["properties"].items():
        form = alternatives(field)[0]
        required = ", required" if name in schema.get("required", ()) else ""
        kind, limits = catalogue.type_words(form), catalogue.limit_words(form) or ""
        yield f"| `{name}` | {kind}{required} | {limits} | {_cell(field.get('description', ''))} |"
    yield ""


def _prompts() -> Iterator[str]:
    yield "# Prompts"
    yield (
        "For a client's menu, in Portuguese and English (`language`). Subjects, grades, languages and the "
        "caller's own compositions complete while they are typed."
    )
    yield ""
    yield "| prompt | title | arguments | shown to tokens with |"
    yield "|---|---|---|---|"
    for prompt, tool in prompts.ALL:
        told = ", ".join(
            f"`{argument.name}`" + (" (required)" if argument.required else "")
            for argument in prompt.arguments or ()
        )
        yield f"| `{prompt.name}` | {prompt.title} | {told} | `{SCOPES[tool]}` |"
    yield ""


def _resources() -> Iterator[str]:
    yield "# Resources"
    yield (
        "`resources/list` shows the caller's own compositions, last changed first, page by page. What is "
        "another tenant's is answered as what does not exist. Changes are announced to whoever listens with "
        "`subscriptions/listen` (`resourcesListChanged`, `resourceSubscriptions`), which the protocol has "
        "since 2026-07-28; clients of 2025-11-25 are told of none (`listChanged` is false, there is no "
        "`resources/subscribe`) and read again. The lists of tools and prompts change with a release only, "
        "so nobody is promised to hear of that."
    )
    yield ""
    yield "| address | content | scope |"
    yield "|---|---|---|"
    for address, content in resources.ADDRESSES.items():
        scope = f"`{SCOPES['get_composition']}`" if address.startswith(resources.GUARDED) else "any token"
        yield f"| `{address}` | {content} | {scope} |"
    yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main(arguments: list[str] | None = None) -> int:
    """Print, write or compare the page; 1 if it differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, metavar="FILE")
    parser.add_argument("--check", type=Path, metavar="FILE")
    chosen = parser.parse_args(arguments)
    text = page()
    if chosen.write:
        chosen.write.write_text(text, encoding="utf-8")
    elif chosen.check:
        if not chosen.check.exists() or chosen.check.read_text(encoding="utf-8") != text:
            print(f"{chosen.check} is not what python -m composer_mcp.mcp.reference prints now")
            return 1
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
