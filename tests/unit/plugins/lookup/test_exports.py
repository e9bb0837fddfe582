from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.euconquisto.composer.plugins.lookup import exports
from ansible_collections.euconquisto.composer.plugins.plugin_utils.composition import Composition


@pytest.fixture
def collect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The lookup over a collection of two roles."""
    files: dict[str, Any] = {
        "playbooks/vars/composition.yml": {
            "composition_groups": {"all": {"roles": ["node"]}, "app": {"roles": ["web"]}},
            "composition_variables": {},
        },
        "roles/node/vars/main.yml": {"node_firewall_rules": [{"port": 9100, "from": "observer"}]},
        "roles/web/defaults/main.yml": {"web_port": 8101},
        "roles/web/vars/main.yml": {
            "_web_from": "edge",
            "web_firewall_rules": [{"port": "{{ web_port }}", "from": "{{ _web_from }}"}],
        },
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(yaml.safe_dump(content))
    monkeypatch.setattr(exports, "Composition", lambda load: Composition(load, root=tmp_path))

    def run(term: str, asked_by: bool = False, **variables: Any) -> list[Any]:
        loader = DataLoader()
        lookup = exports.LookupModule(loader=loader, templar=Templar(loader=loader, variables=variables))
        (found,) = lookup.run([term], variables=variables, asked_by=asked_by)
        return found

    return run


def test_a_host_gets_the_exports_of_its_own_roles_only(collect: Any) -> None:
    assert collect("firewall_rules", group_names=["edge"]) == [{"port": 9100, "from": "observer"}]


def test_an_export_follows_the_roles_default_and_the_inventory(collect: Any) -> None:
    assert collect("firewall_rules", group_names=["app"])[1] == {"port": 8101, "from": "edge"}
    assert collect("firewall_rules", group_names=["app"], web_port=9000)[1] == {"port": 9000, "from": "edge"}


def test_what_nobody_exports_is_an_empty_list(collect: Any) -> None:
    assert collect("scrape_targets", group_names=["app"]) == []


def test_an_export_can_say_which_role_asked(collect: Any) -> None:
    asked = collect("firewall_rules", asked_by=True, group_names=["app"])
    assert [rule["asked_by"] for rule in asked] == ["node", "web"]
    assert "asked_by" not in collect("firewall_rules", group_names=["app"])[0]
