"""The admin API describes itself truly: valid OpenAPI, with the scope of every operation."""

from __future__ import annotations

import json

from openapi_spec_validator import OpenAPIV31SpecValidator
from typer.testing import CliRunner

from composer_mcp import cli
from composer_mcp.admin.app import describe
from composer_mcp.security.roles import ADMINISTRATIVE


def test_the_command_prints_a_valid_document() -> None:
    document = json.loads(CliRunner().invoke(cli.cli, ["openapi"]).stdout)
    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()


def test_every_operation_names_an_administrative_scope_and_says_what_it_does() -> None:
    operations = {
        f"{method} {path}": operation
        for path, methods in describe()["paths"].items()
        for method, operation in methods.items()
    }
    assert {"get /accounts", "patch /accounts/{name}", "post /revocations"} <= operations.keys()
    for name, operation in operations.items():
        (needed,) = operation["security"]
        assert set(needed["token"]) <= ADMINISTRATIVE and needed["token"], name
        assert operation["description"], name
        for status in ("401", "403", "422", "503"):
            schema = operation["responses"][status]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Problem"}, name
