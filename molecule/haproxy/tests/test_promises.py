"""What callers and operators may rely on at the front door."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from door import CLIENT, DOOR, TLS, call, get, log_entry, restart, token

UNITS = ["haproxy", "composer-edge-keys", "small-host@first", "small-host@second"]


@pytest.fixture
def both_hosts(host: Any) -> Iterator[None]:
    """Both application hosts run before and after, and the gateway has seen it."""
    health = f"curl -s {CLIENT} https://localhost:8404/health"
    wait = f"timeout 15 bash -c 'until {health} | grep -q hosts.:2; do :; done'"
    yield
    assert host.run("systemctl start small-host@first small-host@second small-issuer@all").rc == 0
    assert host.run(wait).rc == 0


def test_a_good_token_reaches_an_application_host(host: Any) -> None:
    answer = call(host, token(host))
    assert answer.status == 200
    assert [event["piece"] for event in answer.events] == [0, 1, 2]


def test_a_token_for_several_resources_is_good(host: Any) -> None:
    assert call(host, token(host, claims={"aud": ["https://x.test", f"{DOOR}/mcp"]})).status == 200


def test_a_caller_without_token_is_told_where_to_get_one(host: Any) -> None:
    answer = call(host, None)
    assert answer.status == 401
    where = f'resource_metadata="{DOOR}/.well-known/oauth-protected-resource/mcp"'
    assert answer.headers["www-authenticate"] == f"Bearer {where}"
    assert answer.json["code"] == "invalid_token" and answer.json["remedy"]


@pytest.mark.parametrize(
    ("flaw", "code"),
    [
        ({"claims": {"exp": -1}}, "invalid_token"),
        ({"claims": {"exp": None}}, "invalid_token"),
        ({"claims": {"nbf": 300}}, "invalid_token"),
        ({"claims": {"aud": "https://other.test/mcp"}}, "invalid_token"),
        ({"claims": {"aud": ["https://other.test/mcp"]}}, "invalid_token"),
        ({"claims": {"aud": f"{DOOR}/mcp/more"}}, "invalid_token"),
        ({"claims": {"aud": None}}, "invalid_token"),
        ({"claims": {"iss": "https://other.test"}}, "invalid_token"),
        ({"claims": {"sub": None}}, "invalid_token"),
        ({"header": {"alg": "none"}}, "invalid_token"),
        ({"header": {"alg": "HS256"}}, "invalid_token"),
        ({"header": {"kid": "other"}}, "invalid_token"),
        ({"header": {"kid": None}}, "invalid_token"),
    ],
    ids=str,
)
def test_a_flawed_token_is_refused(host: Any, flaw: dict[str, Any], code: str) -> None:
    answer = call(host, token(host, **flaw))
    assert (answer.status, answer.json["code"]) == (401, code)
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_a_changed_or_foreign_token_is_refused(host: Any) -> None:
    head, claims, signature = token(host).split(".")
    other = token(host, claims={"sub": "head-teacher"}).split(".")[1]
    for forged in (f"{head}.{other}.{signature}", f"{head}.{claims}.", "x", "a.b.c", "s.0123456789abcdef"):
        assert call(host, forged).status == 401


def test_nothing_lies_at_the_root_of_the_host_that_is_not_debians(host: Any) -> None:
    assert not host.file("/keys").exists


def test_metadata_and_health_need_no_token_and_nothing_else_is_there(host: Any) -> None:
    for path in ("/.well-known/oauth-protected-resource/mcp", "/health/live", "/health/ready"):
        assert get(host, path).status == 200
    for path in ("/", "/metrics", "/mcp/x", "/MCP", "//mcp", "/health"):
        assert get(host, path, "--path-as-is").status == 404


def test_every_answer_has_its_own_correlation_id_which_the_application_also_has(host: Any) -> None:
    claimed = "-H 'X-Correlation-Id: mine' -H 'X-Forwarded-For: 192.0.2.1' -H 'Forwarded: for=192.0.2.1'"
    answers = [call(host, token(host), claimed), call(host, None, claimed), get(host, "/nothing", claimed)]
    ids = {answer.headers["x-correlation-id"] for answer in answers}
    assert len(ids) == 3 and "mine" not in ids
    seen = {name.lower(): value for name, value in answers[0].events[0]["headers"].items()}
    assert seen["x-correlation-id"] == answers[0].headers["x-correlation-id"]
    assert seen["x-forwarded-for"] == "127.0.0.1" and "forwarded" not in seen


def test_the_log_knows_the_call_but_neither_query_nor_token(host: Any) -> None:
    bearer = token(host)
    answer = call(host, bearer, path="/mcp?secret=canary-in-query")
    entry = log_entry(host, answer)
    assert (entry["status"], entry["path"], entry["subject"]) == (200, "/mcp", "teacher")
    journal = host.check_output("journalctl -u haproxy -o cat")
    assert "canary" not in journal and bearer.split(".")[2] not in journal


def test_one_identity_cannot_take_all_the_capacity(host: Any) -> None:
    busy = token(host, claims={"sub": "busy"})
    loop = (
        f"for i in $(seq 70); do curl -s -o /dev/null -w '%{{http_code}} ' {TLS} "
        f"-H 'Authorization: Bearer {busy}' --data '{{}}' https://localhost/mcp; done"
    )
    codes = host.check_output(loop).split()
    assert codes[0] == "200" and codes[-1] == "429"
    assert set(codes) == {"200", "429"}
    answer = call(host, busy)
    assert answer.status == 429 and int(answer.headers["retry-after"]) > 0 and answer.json["retryable"]
    assert call(host, token(host)).status == 200


def test_guessing_tokens_is_slowed_down_without_harm_to_good_callers(host: Any) -> None:
    source = "--interface 127.0.0.77"
    loop = f"for i in $(seq 100); do curl -s -o /dev/null {source} {TLS} https://localhost/mcp; done"
    host.check_output(loop)
    assert call(host, "guess", source).status == 429
    assert call(host, token(host), source).status == 200


def test_a_body_is_limited_and_must_declare_its_size(host: Any) -> None:
    host.check_output("head -c 3000000 /dev/zero > /tmp/large && head -c 900000 /dev/zero > /tmp/fitting")
    # The refusal comes before the body. A caller that asks first (Expect) always reads it; one that is in the
    # middle of sending may only see the connection break.
    too_large = get(
        host,
        "/mcp",
        f"-H 'Authorization: Bearer {token(host)}' --expect100-timeout 15 --data-binary @/tmp/large",
    )
    assert (too_large.status, too_large.json["code"]) == (413, "body_too_large")
    fitting = get(
        host, "/mcp", f"-H 'Authorization: Bearer {token(host)}' -H Expect: --data-binary @/tmp/fitting"
    )
    assert fitting.status == 200
    unknown = call(host, token(host), "-H 'Transfer-Encoding: chunked'")
    assert (unknown.status, unknown.json["code"]) == (411, "length_required")


def test_old_tls_is_refused_and_browsers_stay_on_https(host: Any) -> None:
    probe = f"curl -sS -o /dev/null {TLS} https://localhost/health/live"
    assert host.run(f"{probe} --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0").rc != 0
    assert host.run(f"{probe} --tlsv1.2 --tls-max 1.2").rc == 0
    assert host.run(f"{probe} --tlsv1.3").rc == 0
    assert "max-age" in get(host, "/health/live").headers["strict-transport-security"]


def test_plain_http_leads_to_https_whatever_host_is_claimed(host: Any) -> None:
    form = "'%{http_code} %{redirect_url}'"
    shown = host.check_output(f"curl -s -o /dev/null -w {form} -H 'Host: evil.test' http://localhost/mcp")
    assert shown == f"308 {DOOR}/mcp"


def test_metrics_need_a_client_certificate(host: Any) -> None:
    assert host.run(f"curl -sS {TLS} https://localhost:8404/metrics || exit 1").rc != 0
    metrics = host.check_output(f"curl -sS {CLIENT} https://localhost:8404/metrics")
    assert 'haproxy_server_status{proxy="composer",server="first",state="UP"} 1' in metrics


@pytest.mark.usefixtures("both_hosts")
def test_no_call_is_lost_when_an_application_host_is_stopped(host: Any) -> None:
    shown = host.check_output("/usr/bin/python3 /opt/around/traffic.py stop systemctl stop small-host@first")
    result = json.loads(shown)
    assert result["calls"] == 320 and result["failed"] == []
    assert set(result["by_host"]) == {"first", "second"}


@pytest.mark.usefixtures("both_hosts")
def test_no_call_is_lost_when_the_gateway_is_reloaded(host: Any) -> None:
    result = json.loads(
        host.check_output("/usr/bin/python3 /opt/around/traffic.py reload systemctl reload haproxy")
    )
    assert result["calls"] == 320 and result["failed"] == []


@pytest.mark.usefixtures("both_hosts")
def test_a_dead_host_is_passed_over_before_any_health_check_notices(host: Any) -> None:
    host.check_output("systemctl kill --signal=KILL small-host@second")
    assert {call(host, token(host, claims={"sub": "after"})).status for _ in range(6)} == {200}


@pytest.mark.usefixtures("both_hosts")
def test_without_any_host_the_caller_is_told_to_try_again(host: Any) -> None:
    host.check_output("systemctl stop small-host@first small-host@second")
    answer = call(host, token(host))
    assert (answer.status, answer.json["code"]) == (503, "no_host_ready")
    assert answer.headers["retry-after"] == "5"


@pytest.mark.usefixtures("both_hosts")
def test_the_gateway_starts_while_the_issuer_is_down(host: Any) -> None:
    host.check_output("systemctl stop small-issuer@all")
    host.check_output("systemctl start composer-edge-keys")
    restart(host)
    assert call(host, token(host)).status == 200
    assert "last keys stay in use" in host.check_output("journalctl -u composer-edge-keys -o cat")


@pytest.fixture
def issuer_key_changes(host: Any) -> Iterator[None]:
    """The issuer publishes another key instead of its first, and the first again at the end."""
    keys = "/opt/around/issuer/keys.json"
    fetch = "systemctl start composer-edge-keys"
    host.check_output(
        f"cp {keys} {keys}.first && /usr/bin/python3 /opt/around/make_token.py publish keys k2:ES256"
    )
    host.check_output(fetch)
    yield
    host.check_output(f"mv {keys}.first {keys} && {fetch}")


@pytest.mark.usefixtures("issuer_key_changes")
def test_a_new_key_of_the_issuer_is_used_and_the_old_one_forgotten(host: Any) -> None:
    assert call(host, token(host, header={"kid": "k2"}, key="k2.pem")).status == 200
    assert call(host, token(host)).status == 401
