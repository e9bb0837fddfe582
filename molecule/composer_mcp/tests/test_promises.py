"""What callers and operators may rely on at an application host."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

UNITS = ["composer-web@blue", "composer-worker@1", "composer-worker@2"]
TLS = "--cacert /etc/ssl/composer/authority.crt"
CLIENT = f"{TLS} --cert /etc/ssl/composer/host.crt --key /etc/ssl/composer/host.key"
WEB = "https://localhost:8101"
SECRETS = [
    "canary-database",
    "canary-owner",
    "canary-state-key",
    "canary-audit-key",
    "canary-composer-token",
    "canary-project-key",
]
SCOPES = "compositions:read compositions:write jobs:read"
WAIT_READY = f"timeout 60 sh -c 'until curl -sf -o /dev/null {CLIENT} {WEB}/health/ready; do sleep 0.2; done'"


def call(
    host: Any, neighbour: Any, method: str, scopes: str = "compositions:read", **parameters: Any
) -> dict[str, Any]:
    """One MCP request with a good token; the JSON-RPC answer."""
    wanted = [{"claims": {"scope": scopes, "tenant": "school"}}]
    made = neighbour.run(f"/usr/bin/python3 /opt/around/make_token.py {shlex.quote(json.dumps(wanted))}")
    token = made.stdout.strip()
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
    shown = host.check_output(
        f"curl -sS --max-time 100 {CLIENT} -H 'Authorization: Bearer {token}' "
        "-H 'Content-Type: application/json' "
        f"-H 'Accept: application/json, text/event-stream' --data {shlex.quote(body)} {WEB}/mcp"
    )
    messages = [
        line.removeprefix("data: ") for line in shown.splitlines() if line.startswith(("data: {", "{"))
    ]
    return dict(json.loads(messages[-1]))


def test_the_web_is_ready_for_those_with_a_certificate_and_for_nobody_else(host: Any) -> None:
    assert host.run(f"curl -sSf {CLIENT} {WEB}/health/ready").rc == 0
    refused = host.run(f"curl -sS {TLS} {WEB}/health/ready || exit 1")
    assert refused.rc != 0 and refused.stdout == ""
    assert host.run("curl -sS http://localhost:8101/health/live || exit 1").rc != 0


def test_a_caller_sees_the_tools(host: Any, neighbour: Any) -> None:
    names = {tool["name"] for tool in call(host, neighbour, "tools/list", scopes=SCOPES)["result"]["tools"]}
    assert {"create_composition", "get_composition", "get_job"} <= names


def test_a_call_goes_through_queue_and_worker_and_tells_that_composer_is_down(
    host: Any, neighbour: Any
) -> None:
    uid = "u" * 64
    answer = call(host, neighbour, "tools/call", name="get_composition", arguments={"uid": uid})
    result = answer["result"]
    assert result["isError"] is True
    assert "Composer" in result["content"][0]["text"]


def test_every_worker_that_was_asked_for_runs(host: Any) -> None:
    units = host.check_output("systemctl list-units --plain --no-legend --state=active 'composer-worker@*'")
    assert len(units.splitlines()) == 2


def test_installed_is_what_the_bundle_lists_and_nothing_else(host: Any) -> None:
    release = "/opt/composer-mcp/current"
    manifest = json.loads(host.check_output(f"cat {release}/manifest.json"))
    assert host.check_output(f"readlink {release}").endswith(manifest["release"])
    shown = json.loads(host.check_output(f"{release}/venv/bin/python -m pip list --format=json"))
    installed = {package["name"].lower().replace("_", "-"): package["version"] for package in shown}
    installed.pop("pip"), installed.pop("setuptools", None)
    assert installed.items() <= manifest["packages"].items() and "composer-mcp" in installed
    assert host.run(f"{release}/venv/bin/python -m pip check").rc == 0


def test_the_service_cannot_change_its_own_program_or_configuration(host: Any) -> None:
    for path in ("/opt/composer-mcp/current/venv/probe", "/etc/composer-mcp/probe", "/usr/local/probe"):
        assert host.run(f"runuser -u composer -- touch {path} || exit 1").rc != 0


def test_secrets_are_in_credentials_only(host: Any) -> None:
    pattern = "|".join(SECRETS)
    pids = host.check_output("pgrep -d ' ' -u composer").split()
    assert len(pids) >= 4
    files = " ".join(f"/proc/{pid}/environ /proc/{pid}/cmdline" for pid in pids)
    found = host.run(f"grep --text -lE '{pattern}' {files} 2>/dev/null || exit 1")
    assert found.stdout == ""
    assert (
        host.run(f"grep -rlE '{pattern}' /etc /var/lib/composer-mcp /opt/composer-mcp || exit 1").stdout == ""
    )
    assert host.run(f"journalctl --no-pager | grep -E '{pattern}' | grep -v around || exit 1").stdout == ""


def test_a_worker_gets_no_secret_of_the_web_and_the_reverse(host: Any) -> None:
    def given(unit: str) -> set[str]:
        shown = host.check_output(f"systemctl cat {unit}").splitlines()
        return {line.split("=")[1].split(":")[0] for line in shown if line.startswith("LoadCredential=")}

    assert given("composer-web@blue") == {"database-password", "state-key", "audit-key", "tls.key"}
    assert given("composer-worker@1") == {
        "database-password",
        "audit-key",
        "composer-token",
        "composer-project-key",
    }


@pytest.mark.parametrize(("unit", "limit"), [("composer-web@blue", 2.5), ("composer-worker@1", 4.0)])
def test_units_are_confined(host: Any, unit: str, limit: float) -> None:
    shown = host.check_output(f"systemd-analyze security --no-pager {unit}.service | tail -1")
    assert float(shown.split(":")[1].split()[0]) < limit, shown


def test_the_application_owns_no_table_and_cannot_change_the_schema(host: Any, neighbour: Any) -> None:
    psql = "runuser -u postgres -- psql --tuples-only --no-align composer --command"
    count = (
        "\"select count(*) from pg_tables where schemaname = 'public' and tableowner {} 'composer_owner'\""
    )
    assert neighbour.run(f"{psql} {count.format('<>')}").stdout.strip() == "0"
    assert int(neighbour.run(f"{psql} {count.format('=')}").stdout) > 0
    url = "host=localhost dbname=composer user=composer password=canary-database sslmode=require"
    assert neighbour.run(f"psql '{url}' --command 'create table probe (x int)' || exit 1").rc != 0


def test_what_an_interrupted_run_left_undone_is_made_up_for(host: Any) -> None:
    tls = "/etc/ssl/composer/host.crt /etc/ssl/composer/host.key /etc/ssl/composer/authority.crt"
    apply = f"/bin/sh /usr/local/lib/composer-mcp/apply composer-web@blue.service 8101 {tls} 60"
    host.check_output("touch /etc/composer-mcp/config.toml")
    done = host.check_output(f"{apply} 2").splitlines()
    assert done == [
        "restarted composer-worker@1.service composer-worker@2.service",
        "restarted composer-web@blue.service",
    ]
    assert host.check_output(f"{apply} 2") == ""
    assert host.check_output(f"{apply} 1") == "stopped composer-worker@2.service"
    host.check_output("systemctl start composer-worker@2")


def test_a_stopping_web_says_not_ready_before_it_refuses(host: Any) -> None:
    script = (
        "systemctl stop --no-block composer-web@blue; "
        "timeout 60 sh -c 'while s=$(curl -s -o /dev/null -w %{http_code} "
        f"{CLIENT} {WEB}/health/ready) || [ $s != 000 ]; do echo $s; done'; true"
    )
    seen = host.check_output(script).split()
    host.check_output(f"systemctl start composer-web@blue && {WAIT_READY}")
    assert "503" in seen and seen[-1] == "503", seen[-5:]


def test_a_killed_web_is_back_by_itself(host: Any) -> None:
    host.check_output("systemctl kill --signal=KILL composer-web@blue")
    assert host.run(WAIT_READY).rc == 0


def test_a_killed_worker_is_back_by_itself(host: Any) -> None:
    shown = "systemctl show --property MainPID --value composer-worker@1"
    before = host.check_output(shown)
    host.check_output("systemctl kill --signal=KILL composer-worker@1")
    back = f'[ "$({shown})" != {before} ] && systemctl is-active --quiet composer-worker@1'
    assert host.run(f"timeout 60 sh -c {shlex.quote(f'until {back}; do sleep 0.2; done')}").rc == 0


def test_all_processes_of_the_host_are_in_its_metrics(host: Any) -> None:
    metrics = host.check_output(f"curl -sS {CLIENT} {WEB}/metrics")
    assert "composer_" in metrics


def test_a_workers_browser_keeps_to_its_own_places(host: Any) -> None:
    host.check_output(
        "timeout 60 sh -c 'until pgrep --uid composer --full [t]ype=renderer; do sleep 0.2; done'"
    )
    inside = "nsenter --mount --target $(systemctl show --property MainPID --value composer-worker@1)"
    assert "composer-browser-" in host.check_output(f"{inside} ls /tmp")
    assert "composer-browser-" not in host.check_output("ls /tmp")
    assert host.check_output(f"{inside} df --output=size --block-size=1M /tmp /dev/shm").split()[1:] == [
        "512",
        "256",
    ]
