from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.euconquisto.composer.plugins.plugin_utils.composition import Composition
from ansible_collections.euconquisto.composer.plugins.plugin_utils.inspection import (
    LATER,
    missing_groups,
    refused_values,
    unknown_variables,
    wrong_values,
)

FILES: dict[str, Any] = {
    "playbooks/vars/composition.yml": {
        "composition_groups": {
            "all": {"description": "every host", "roles": ["tls"]},
            "app": {"description": "application hosts", "roles": ["app", "app_tools"]},
            "observer": {"description": "who reads metrics", "roles": []},
        },
        "composition_variables": {
            "host_address": {"type": "str", "required": True, "description": "The address of this host."}
        },
    },
    "roles/app/meta/argument_specs.yml": {
        "argument_specs": {
            "main": {
                "options": {
                    "app_workers": {"type": "int", "description": "Number of C(workers)."},
                    "app_users": {
                        "type": "list",
                        "elements": "dict",
                        "options": {"name": {"type": "str", "required": True}},
                        "description": ["Who may call."],
                    },
                    "app_token": {"type": "dict", "no_log": True, "description": "Secret."},
                    "app_mode": {"type": "str", "choices": ["a", "b"], "description": "How."},
                }
            }
        }
    },
    "roles/app/defaults/main.yml": {"app_workers": "{{ something }}"},
    "roles/app/vars/main.yml": {"app_firewall_rules": [], "_app_internal": 1, "_app_wrong": ""},
    "roles/app_tools/meta/argument_specs.yml": {
        "argument_specs": {"main": {"options": {"app_tools_path": {"type": "path", "description": "Where."}}}}
    },
}


@pytest.fixture
def composition(tmp_path: Path) -> Composition:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(yaml.safe_dump(content))
    return Composition(lambda path: yaml.safe_load(path.read_text()), root=tmp_path)


def judge(composition: Composition, *groups: str, **values: Any) -> list[str]:
    def evaluate(name: str) -> Any:
        value = values.get(name, LookupError(f"'{name}' is undefined"))
        if isinstance(value, LookupError):
            raise value
        return value

    return wrong_values(composition, groups, {"host_address": "x", **values}, evaluate)


def test_the_roles_of_a_host_follow_from_its_groups(composition: Composition) -> None:
    assert composition.roles_of(["app"]) == ["tls", "app", "app_tools"]
    assert composition.roles_of(["observer"]) == ["tls"]


def test_a_missing_group_is_told_with_the_way_to_lack_it(composition: Composition) -> None:
    (complaint,) = missing_groups(composition, ["all", "app"])
    assert (
        "observer" in complaint and "who reads metrics" in complaint and "observer: {hosts: {}}" in complaint
    )


def test_a_mistyped_name_is_told_with_the_right_one(composition: Composition) -> None:
    (complaint,) = unknown_variables(composition, ["app_wrokers"])
    assert "app_wrokers" in complaint and "Did you mean app_workers?" in complaint


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("ap_workers", "app_workers"),
        ("app_tolls_path", "app_tools_path"),
        ("apptools_path", "app_tools_path"),
        ("host_adress", "host_address"),
    ],
)
def test_a_mistyped_beginning_is_told_with_the_right_name(
    composition: Composition, written: str, meant: str
) -> None:
    (complaint,) = unknown_variables(composition, [written])
    assert written in complaint and f"Did you mean {meant}?" in complaint


def test_names_of_a_site_that_only_look_a_little_like_ours_pass(composition: Composition) -> None:
    names = [
        "vault_app_token",
        "my_app_workers",
        "ansible_host",
        "our_tools_path",
        "queue_workers",
        "workers",
    ]
    assert unknown_variables(composition, names) == []


def test_known_names_exports_and_foreign_names_pass(composition: Composition) -> None:
    names = [
        "app_workers",
        "app_tools_path",
        "app_firewall_rules",
        "host_address",
        "ansible_user",
        "site_thing",
    ]
    assert unknown_variables(composition, names) == []


def test_a_name_belongs_to_the_role_with_the_longest_prefix(composition: Composition) -> None:
    (complaint,) = unknown_variables(composition, ["app_tools_pat"])
    assert "Did you mean app_tools_path?" in complaint


def test_an_internal_name_cannot_be_set(composition: Composition) -> None:
    assert unknown_variables(composition, ["app_internal"])


def test_a_required_variable_must_be_set(composition: Composition) -> None:
    (complaint,) = wrong_values(composition, [], [], lambda name: "")
    assert complaint.startswith("host_address: not set") and "The address of this host." in complaint


def test_a_wrong_type_is_told_with_what_was_expected(composition: Composition) -> None:
    (complaint,) = judge(composition, "app", host_address="x", app_workers="many")
    assert "app_workers" in complaint and "Expected: int. Number of workers." in complaint


def test_parts_of_a_value_are_judged_too(composition: Composition) -> None:
    (complaint,) = judge(composition, "app", host_address="x", app_workers=1, app_users=[{"nam": "x"}])
    assert "app_users" in complaint and "nam" in complaint


def test_choices_are_told(composition: Composition) -> None:
    (complaint,) = judge(composition, "app", host_address="x", app_workers=1, app_mode="c")
    assert "one of a, b" in complaint


@pytest.mark.parametrize(
    "placeholder", ["replace-me-now", base64.b64encode(b"replace-me-with-bytes").decode()]
)
def test_a_placeholder_of_the_examples_is_refused_also_in_base64(
    composition: Composition, placeholder: str
) -> None:
    (complaint,) = judge(composition, "app", host_address=placeholder, app_workers=1)
    assert complaint.startswith("host_address: still contains the placeholder")


def test_variables_of_roles_that_the_host_does_not_get_are_not_judged(composition: Composition) -> None:
    assert judge(composition, "observer", host_address="x", app_workers="many") == []


def test_a_default_that_cannot_be_evaluated_is_told_as_such(composition: Composition) -> None:
    (complaint,) = judge(composition, "app", host_address="x")
    assert complaint.startswith("app_workers (its default): cannot be evaluated")


def test_a_secret_of_a_wrong_type_is_not_shown(composition: Composition) -> None:
    (complaint,) = judge(composition, "app", host_address="x", app_workers=1, app_token="hunter2")
    assert "app_token" in complaint and "hunter2" not in complaint


def test_what_depends_on_the_host_is_left_for_later(composition: Composition) -> None:
    assert judge(composition, "app", host_address="x", app_workers=LATER) == []


def test_a_placeholder_of_the_examples_is_refused(composition: Composition) -> None:
    users = [{"name": "replace-me-teacher"}]
    (complaint,) = judge(composition, "app", host_address="x", app_workers=1, app_users=users)
    assert "placeholder" in complaint


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("", []),
        (LATER, []),
        ("app_port is 0; it must be a port", ["app: app_port is 0; it must be a port"]),
        (LookupError("no such network"), ["app: no such network"]),
    ],
)
def test_a_role_is_asked_what_it_refuses(composition: Composition, answer: Any, told: list[str]) -> None:
    def evaluate(name: str) -> Any:
        assert name == "_app_wrong"
        if isinstance(answer, LookupError):
            raise answer
        return answer

    assert refused_values(composition, ["app"], evaluate) == told
    assert refused_values(composition, [], evaluate) == []
