"""The role's data hang together, and values that cannot be meant are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).resolve().parents[3] / "roles/hardening"
SITE: dict[str, Any] = {
    "ansible_managed": "managed",
    "ansible_skip_tags": [],
    "ansible_facts": {"distribution_major_version": "13"},
    "inventory_hostname": "app2",
    "groups": {"all": ["app1", "app2", "core", "edge"]},
}


def templar(**variables: Any) -> Templar:
    loader = DataLoader()
    parts = [
        loader.load_from_file(str(ROLE / part / "main.yml"), trusted_as_template=True)
        for part in ("defaults", "vars")
    ]
    return Templar(loader=loader, variables={**parts[0], **parts[1], **SITE, **variables})


def variable(name: str, **variables: Any) -> Any:
    """One variable of the role, as it is used; keyword arguments are what an inventory sets."""
    return templar(**variables).template(trust_as_template("{{ " + name + " }}"))


def render(path: str, **variables: Any) -> str:
    text = trust_as_template((ROLE / f"templates{path}.j2").read_text())
    overrides = {"trim_blocks": True, "lstrip_blocks": True}
    return str(templar(**variables).template(text, escape_backslashes=False, overrides=overrides))


def topics() -> list[str]:
    return list(yaml.safe_load((ROLE / "vars/main.yml").read_text())["_hardening_topics"])


def test_every_topic_has_a_switch_with_a_reason_a_file_and_a_tag() -> None:
    spec = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    switches = spec["hardening_topics"]["options"]
    assert set(switches) == set(topics())
    assert all(switch["type"] == "bool" and switch["description"] for switch in switches.values())
    contents = (ROLE / "tasks/main.yml").read_text()
    for topic in topics():
        assert (ROLE / f"tasks/{topic}.yml").is_file(), topic
        assert f"file: {topic}.yml" in contents and f"hardening_{topic}]" in contents, topic


@pytest.mark.parametrize("daemon", ["systemd-timesyncd", "chrony"])
def test_every_file_belongs_to_a_topic(daemon: str) -> None:
    """A file that no topic names would never reach a host, nor be taken back."""
    files = {
        "/" + path.relative_to(ROLE / folder).as_posix().removesuffix(".j2")
        for folder in ("files", "templates")
        for path in (ROLE / folder).rglob("*")
        if path.is_file()
    }
    links = set(variable("_hardening_links"))
    named = set(variable("_hardening_run_files", hardening_time_daemon=daemon))
    other = {"/etc/chrony/sources.d/composer.sources", "/etc/systemd/timesyncd.conf.d/60-composer.conf"}
    assert named - files == links & named
    assert files - named == other - named


def test_a_topic_that_is_off_is_taken_back_and_no_other() -> None:
    absent = variable("_hardening_run_absent", hardening_topics={"sudo": False, "cron": "no"})
    assert sorted(absent) == ["/etc/at.allow", "/etc/cron.allow", "/etc/sudoers.d/60-composer"]
    assert variable("_hardening_run_absent") == []
    everything = variable("_hardening_run_absent", hardening_state="absent")
    assert "/etc/sysctl.d/99-zz-composer.conf" in everything
    assert variable("_hardening_run_packages", hardening_state="absent") == []


def test_a_topic_that_a_run_leaves_out_is_neither_brought_nor_taken_back() -> None:
    run = variable("_hardening_run", ansible_skip_tags=["hardening_sudo", "firewall"])
    assert sorted([*run, "sudo"]) == sorted(topics())


def test_files_shared_with_debian_get_debians_text_back() -> None:
    defs = render("/etc/login.defs", hardening_state="absent")
    assert "PASS_MAX_DAYS   99999" in defs and "YESCRYPT_COST_FACTOR" not in defs
    assert render("/etc/issue", hardening_state="absent") == "Debian GNU/Linux 13 \\n \\l\n\n"
    assert "deny" not in render("/etc/security/faillock.conf", hardening_state="absent")
    assert "PermitRootLogin" not in render("/etc/composer-hardening/ssh.conf", hardening_state="absent")


@pytest.mark.parametrize(
    ("host", "start", "minutes", "turn"),
    [
        ("app1", "03:00", 60, "03:00"),
        ("app2", "03:00", 60, "03:15"),
        ("edge", "03:00", 60, "03:45"),
        ("edge", "23:30", 120, "01:00"),
        ("app2", "03:00", 1, "03:00"),
    ],
)
def test_hosts_take_turns(host: str, start: str, minutes: int, turn: str) -> None:
    timer = render(
        "/etc/systemd/system/apt-daily-upgrade.timer.d/60-composer.conf",
        inventory_hostname=host,
        hardening_updates_start=start,
        hardening_updates_minutes=minutes,
    )
    assert f"OnCalendar=*-*-* {turn}\n" in timer


def test_classic_key_exchange_is_for_those_who_ask_for_it() -> None:
    assert "curve25519-sha256" not in variable("_hardening_ssh_key_exchange")
    asked = variable("_hardening_ssh_key_exchange", hardening_ssh_classic_key_exchange=True)
    assert asked[0] == "mlkem768x25519-sha256" and "curve25519-sha256" in asked


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hardening_updates_start", "3 o'clock"),
        ("hardening_updates_start", 10800),
        ("hardening_updates_reboot_time", "24:00"),
        ("hardening_updates_minutes", 0),
        ("hardening_umask", "022"),
        ("hardening_journal_max_use", "1 GB"),
        ("hardening_lockout_attempts", 1),
        ("hardening_ssh_confirm_seconds", 5),
    ],
)
def test_a_value_that_cannot_be_meant_is_named_with_what_can(name: str, value: object) -> None:
    said = variable("_hardening_wrong", **{name: value})
    assert said.startswith(f"{name} is {value}; it must be ")


def test_the_defaults_are_right() -> None:
    assert variable("_hardening_wrong") == ""
