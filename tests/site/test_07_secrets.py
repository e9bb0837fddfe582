"""After everything that happened, no secret of the lab lies where it must not; the folder's last tests."""

import base64
import json

import pytest

SHORTEST = 12
HELD = "/run/composer-secrets"


@pytest.fixture(scope="module")
def secrets(site, bearer) -> dict[str, str]:
    """Every secret of this lab by name: what the controller made, what hosts hold, what a user was given."""
    found = {"a user's token": bearer}
    for folder in (site.lab.state / "secrets", site.lab.state / "composer"):
        for path in folder.rglob("*"):
            if path.is_file() and path.suffix not in (".crt", ".pub", ".json"):
                found[str(path.relative_to(site.lab.state))] = path.read_text(encoding="utf-8").strip()
    for host in site.hosts:
        listed = host.ask(f"for f in {HELD}/*; do test -f $f && echo $f $(base64 -w0 $f); done; true")
        for line in listed.splitlines():
            path, _, value = line.partition(" ")
            found[f"{host.name}: {path}"] = base64.b64decode(value).decode("utf-8", "replace").strip()
        identity = json.loads(host.run("cat /etc/composer-secrets/identity.json").stdout or "{}")
        found[f"{host.name}: identity"] = identity.get("secret_id", "")
        found[f"{host.name}: host key"] = _body(host.ask("cat /etc/ssl/composer/host.key"))
    for path in (site.lab.state / "authority").glob("*.key"):
        found[path.name] = _body(path.read_text(encoding="utf-8"))
    return {name: value for name, value in found.items() if value}


def _body(pem: str) -> str:
    """One line out of the middle of a key, so that another line length is found as well."""
    return max((line for line in pem.splitlines() if not line.startswith("-")), key=len)


def test_there_are_secrets_to_look_for(secrets):
    assert len(secrets) >= 10, sorted(secrets)
    short = [name for name, value in secrets.items() if len(value) < SHORTEST]
    assert not short, f"too short to be a secret, and to be searched for: {short}"


@pytest.mark.parametrize("host", ["edge1", "app1", "app2", "core1"])
def test_no_secret_is_in_journals_processes_units_or_world_readable_files(
    site, secrets, host, record_property
):
    answer = site.host(host).python("leaks", given=json.dumps(secrets))
    assert not answer["found"], answer["found"]
    assert answer["looked"]["journal bytes"] > 10_000
    assert answer["looked"]["process files"] > 10
    assert answer["looked"]["files"] > 500
    record_property(
        "summary", f"{len(secrets)} secrets searched for on {host}: none found; looked at {answer['looked']}"
    )


def test_no_secret_is_in_ansibles_most_talkative_output(site, secrets, standing):
    assert "TASK [" in standing.ansible and "changed:" in standing.ansible
    texts = [standing.ansible, standing.said, standing.dry.said if standing.dry else ""]
    shown = [name for name, value in secrets.items() if any(value in text for text in texts)]
    assert not shown
    again = site.command("up", ANSIBLE_VERBOSITY="3", ANSIBLE_DIFF_ALWAYS="1")
    output = (site.lab.out / "site.log").read_text(encoding="utf-8") + again.stdout
    assert not [name for name, value in secrets.items() if value in output]


def test_the_search_finds_a_secret_that_does_leak(site):
    """The search itself works: a planted canary is found in each place."""
    canary = "canary-0b2f9d1c7e"
    host = site.host("app1")
    host.ask(f"logger {canary}-journal; echo {canary}-file > /var/tmp/leak; chmod 0644 /var/tmp/leak")
    host.ask(f"systemd-run --unit=leak --setenv=LEAK={canary}-environ sleep 300")
    names = {place: f"{canary}-{place}" for place in ("journal", "file", "environ")}
    try:
        answer = host.python("leaks", given=json.dumps(names))
    finally:
        host.ask("systemctl stop leak; rm /var/tmp/leak")
    assert {name for name, _ in answer["found"]} == set(names)
