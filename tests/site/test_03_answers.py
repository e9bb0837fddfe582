"""Wrong tokens, missing scopes and an absent third party are answered so that the caller can act."""

import uuid

import httpx2
import pytest
from site_lab import lesson, said

METADATA = "https://composer.lab.test/.well-known/oauth-protected-resource/mcp"
CALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "create_composition", "arguments": {"lesson": lesson("x")}},
}
HEADERS = {
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": "tools/call",
    "Mcp-Name": "create_composition",
}


def post(site, bearer: str | None) -> httpx2.Response:
    headers = HEADERS | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
    with httpx2.Client(verify=site.tls, trust_env=False, timeout=30) as http:
        return http.post(site.lab.url, json=CALL, headers=headers)


def changed_signature(token: str) -> str:
    head, body, signature = token.split(".")
    return f"{head}.{body}.{signature[:-8]}{'A' * 8}"


@pytest.mark.parametrize("kind", ["none", "nonsense", "forged"])
def test_a_wrong_token_is_answered_with_401_and_the_way_to_a_right_one(site, bearer, kind):
    token = {"none": None, "nonsense": "abc", "forged": changed_signature(bearer)}[kind]
    answer = post(site, token)
    assert answer.status_code == 401
    assert f'resource_metadata="{METADATA}"' in answer.headers["WWW-Authenticate"]


def test_the_metadata_names_the_issuer_and_needs_no_token(site):
    url = site.lab.url.removesuffix("/mcp") + "/.well-known/oauth-protected-resource/mcp"
    with httpx2.Client(verify=site.tls, trust_env=False, timeout=30) as http:
        metadata = http.get(url).raise_for_status().json()
    assert metadata["resource"] == "https://composer.lab.test/mcp"
    assert metadata["authorization_servers"]


def test_a_missing_scope_is_answered_with_403_that_names_it(site, reader):
    answer = post(site, reader)
    assert answer.status_code == 403
    assert 'scope="compositions:write"' in answer.headers["WWW-Authenticate"]
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]


def test_another_tenant_does_not_see_the_job(site, bearer, reader):
    key = uuid.uuid4().hex
    made = site.call(bearer, "create_composition", lesson=lesson(f"tenants {key}"), idempotency_key=key)
    assert not made.is_error, said(made)
    job = site.jobs(f"select id from job where idempotency_key = '{key}'")
    own = site.call(bearer, "get_job", job_id=job)
    assert own.structured_content["state"] == "succeeded"
    other = site.call(reader, "get_job", job_id=job)
    assert other.is_error
    assert "job_unknown" in said(other)


def test_a_name_that_is_not_ours_is_not_answered(site, bearer):
    headers = HEADERS | {"Authorization": f"Bearer {bearer}", "Host": "evil.example"}
    with httpx2.Client(verify=site.tls, trust_env=False, timeout=30) as http:
        assert http.post(site.lab.url, json=CALL, headers=headers).status_code in (404, 421)


def test_a_broken_lesson_is_refused_with_every_rule_and_nothing_is_saved(site, bearer):
    title = f"broken {uuid.uuid4()}"
    wrong = lesson(title) | {"grade": 7, "elements": [{"type": "quiz", "questions": []}]}
    result = site.call(bearer, "create_composition", lesson=wrong)
    assert result.is_error
    assert "grade" in said(result) and "questions" in said(result)
    assert not site.compositions(title)


def test_while_composer_is_away_the_error_says_so_and_a_retry_makes_exactly_one(site, bearer):
    title, key = f"composer away {uuid.uuid4()}", uuid.uuid4().hex
    with site.without_composer():
        result = site.call(bearer, "create_composition", lesson=lesson(title), idempotency_key=key)
    assert result.is_error
    assert "composer_unavailable" in said(result)
    assert "saved" in said(result).lower()
    again = site.call(bearer, "create_composition", lesson=lesson(title), idempotency_key=key)
    assert not again.is_error, said(again)
    third = site.call(bearer, "create_composition", lesson=lesson(title), idempotency_key=key)
    assert third.structured_content["uid"] == again.structured_content["uid"]
    assert sum(site.compositions(title).values()) == 1
