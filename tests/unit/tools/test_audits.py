"""What auditors say is read whole, and a finding without a reason stays open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.host_programs import load
from tools.audits import checks, devsec, lynis, openscap, pages, sshaudit, units
from tools.tracked import ROOT

LYNIS = """\
lynis_version=3.1.4
warning[]=PKGS-7392|Found one or more vulnerable packages.|-|-|
suggestion[]=SSH-7408|Consider hardening SSH configuration|Compression (set YES to NO)|-|
suggestion[]=HOME-9304|Double check the permissions of home directories|-|-|
suggestion[]=HOME-9304|Double check the permissions of home directories|-|-|
hardening_index=91
"""
OSCAP = """\
WARNING: Skipping a file
--- Starting Evaluation ---

Title\r\tEnsure /tmp Located On Separate Partition
Rule\r\txccdf_org.ssgproject.content_rule_partition_for_tmp
Result\r\tnotapplicable

Title\r\tDisable Host-Based Authentication
Rule\r\txccdf_org.ssgproject.content_rule_disable_host_auth
Ident\r\tCCE-1
Ident\r\tCCE-2
Result\r\tfail
"""


def test_lynis_tells_each_finding_once() -> None:
    report = lynis.parse(LYNIS)
    assert report.index == 91
    assert [(kind, test) for kind, test, _ in report.findings] == [
        ("suggestion", "HOME-9304"),
        ("suggestion", "SSH-7408:Compression"),
        ("warning", "PKGS-7392"),
    ]


def test_a_run_of_lynis_that_was_cut_is_no_report() -> None:
    with pytest.raises(ValueError, match="no hardening index"):
        lynis.parse("lynis_version=3.1.4\n")


def test_the_comment_above_waivers_is_the_reason_of_each() -> None:
    profile = (
        "# About the file.\n\n# It is\n# because.\nskip-test=A-1\nskip-test=A-2\n# Other.\nskip-test=B-1\n"
    )
    found = dict(lynis.waivers(profile))
    assert found["A-1"] == found["A-2"] and found["A-1"].endswith("It is because.")
    assert found["B-1"] == "Other."


@pytest.mark.parametrize("name", lynis.PROFILES)
def test_every_waiver_of_lynis_has_a_reason(name: str) -> None:
    listed = lynis.waivers((pages.SCENARIO / name).read_text())
    assert listed and [test for test, reason in listed if len(reason) < 20] == []


def test_openscap_rules_are_read_with_title_and_outcome() -> None:
    found = openscap.parse(OSCAP)
    assert found.outcomes == {"partition_for_tmp": "notapplicable", "disable_host_auth": "fail"}
    assert found.titles["disable_host_auth"] == "Disable Host-Based Authentication"
    assert found.count("fail") == 1


def test_an_evaluation_that_did_not_take_place_is_no_result() -> None:
    with pytest.raises(ValueError, match="evaluated no rule: OpenSCAP Error"):
        openscap.parse("OpenSCAP Error: no such profile\n")


def test_ssh_audit_notes_are_found_by_level() -> None:
    weak = {"algorithm": "ssh-rsa", "notes": {"fail": ["broken"], "info": ["old"]}}
    report: dict[str, Any] = {"kex": [], "key": [weak], "enc": [], "mac": [{"algorithm": "x", "notes": {}}]}
    assert list(sshaudit.notes(report, ("fail", "warn"))) == [("fail", "host key", "ssh-rsa", "broken")]


def test_templates_are_judged_as_the_instance_that_has_a_limit() -> None:
    listed = "composer-firewall.service\ncomposer-web@.service\nprometheus-node-exporter.service.d\n"
    assert units.ours(listed) == ["composer-firewall", "composer-web@blue", "prometheus-node-exporter"]


def test_the_exposure_is_the_figure_of_the_last_line() -> None:
    assert units.exposure("…\n→ Overall exposure level for a@1.service: 2.6 OK :-)\n") == 2.6
    with pytest.raises(ValueError, match="no figure: Unit x not found"):
        units.exposure("Unit x not found.")


def test_settings_of_sshd_keep_their_whole_value() -> None:
    assert checks.settings("port 22\nmaxstartups 20:30:100\nsubsystem sftp /usr/lib/x\n") == {
        "port": "22",
        "maxstartups": "20:30:100",
        "subsystem": "sftp /usr/lib/x",
    }


def test_the_firewall_that_is_judged_is_the_one_that_is_loaded() -> None:
    program = load(ROOT / "roles/firewall/files/usr/local/lib/composer-firewall/firewall")
    assert checks.CHECKS["firewall rules"].endswith(f" {program.CONFIRMED}")


def test_every_control_of_dev_sec_says_what_why_and_whether() -> None:
    names = [file for files in devsec.BASELINES.values() for file in files]
    controls = {control: what for name in names for control, what in pages.reasons(name)["controls"].items()}
    assert len(controls) > 130
    assert [one for control, what in controls.items() for one in devsec.wrong(control, what)] == []
    unseen = [
        name for name, what in controls.items() if what["us"] in ("met", "better") and not what.get("see")
    ]
    assert unseen == [], "what is said to be met is looked for"


def test_a_control_without_a_verdict_is_found() -> None:
    assert devsec.wrong("os-01", {"asks": "x", "us": "maybe", "why": ""}) == [
        "os-01: `us` is 'maybe', not one of met, better, declined, not applicable",
        "os-01: `why` is empty",
    ]


def test_what_has_no_reason_stands_on_the_page_and_in_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "REPORTS", tmp_path)
    page = pages.Page("x", "X", "Judges.", {"X": "1.0"}, result="1 | 2", unexplained=["A-1: bad"])
    page.write()
    pages.index([page])
    pages.index([pages.Page("y", "Y", "Judges.", {"Y": "2.0"}, result="fine")])
    assert "## Open\n- A-1: bad" in (tmp_path / "x.md").read_text()
    index = (tmp_path / "README.md").read_text()
    assert f"| [X](x.md) | {pages.today()} | 1 \\| 2 | 1 |" in index and "| [Y](y.md) |" in index
