"""The references of settings, metrics and errors say what the code does, all of it."""

from __future__ import annotations

import re

import pytest

from composer_mcp.settings import catalogue
from tools import opsdocs
from tools.tracked import ROOT


@pytest.mark.parametrize("page", [path.name for path, _ in opsdocs.pages()])
def test_a_page_is_as_the_code_is(page: str) -> None:
    path, text = next((path, text) for path, text in opsdocs.pages() if path.name == page)
    assert path.read_text(encoding="utf-8") == text, f"{page} is out of date: write it anew with `make docs`"


def test_every_setting_says_what_it_is_for() -> None:
    silent = [setting.name for setting in catalogue.every() if len(setting.description) < 8]
    assert not silent
    assert not [name for name, said in catalogue.sections().items() if not said]


def test_a_setting_has_its_type_bounds_and_variable() -> None:
    limit = catalogue.by_name()["queue.per_tenant_limit"]
    assert (limit.type, limit.default, limit.variable) == (
        "whole number",
        "100",
        "COMPOSER_MCP__QUEUE__PER_TENANT_LIMIT",
    )
    assert limit.bounds == "at least 1, at most 1000000" and limit.changeable
    assert catalogue.by_name()["log.level"].type.startswith("one of `debug`")
    issuer = catalogue.by_name()["issuers[].issuer"]
    assert issuer.required and issuer.variable == "COMPOSER_MCP__ISSUERS"


def test_every_metric_says_what_it_is_and_each_label_too() -> None:
    offered = {metric.name: metric for metric in opsdocs.every_metric()}
    assert not [name for name, metric in offered.items() if len(metric.meaning) < 8]
    assert {label for metric in offered.values() for label in metric.labels} <= opsdocs.LABELS.keys()
    assert offered["composer_jobs_total"].labels == ("kind", "outcome")
    assert offered["composer_queue_jobs"].labels == ("state",), "what is read for each scrape is there too"


def test_every_secret_that_is_read_is_named() -> None:
    read = re.compile(r"\.(?:read|path)\(\s*\"([a-z][a-z.-]+)\"")
    source = (path.read_text() for path in (ROOT / "src/composer_mcp").rglob("*.py"))
    names = {name for text in source for name in read.findall(text)}
    assert {"database-password", "tls.key"} <= names <= opsdocs.SECRETS.keys()
