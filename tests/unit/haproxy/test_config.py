"""What the rendered gateway configuration promises; `haproxy -c` and real calls are in molecule/haproxy."""

from __future__ import annotations

import json
import re
from typing import get_args

import pytest
import yaml

from composer_mcp.settings.sections import ASYMMETRIC

from .conftest import ROLE, Render

CONFIG = "edge/etc/haproxy/haproxy.cfg.j2"
KEYS = "keys/etc/composer-edge/keys.json.j2"


def section(config: str, name: str) -> list[str]:
    """The lines of one section, without comments."""
    start = config.index(f"\n{name}\n")
    lines = config[start + 1 :].splitlines()[1:]
    body = []
    for line in lines:
        if line and not line.startswith((" ", "#")):
            break
        body.append(line.strip())
    return [line for line in body if line and not line.startswith("#")]


def position(lines: list[str], beginning: str) -> int:
    """Where the first line with this beginning stands."""
    return next(number for number, line in enumerate(lines) if line.startswith(beginning))


def test_nothing_is_left_unrendered(config: str) -> None:
    assert "{{" not in config and "{%" not in config


def test_every_application_host_is_verified_by_its_own_name(config: str) -> None:
    servers = [line for line in section(config, "backend composer") if line.startswith("server ")]
    assert servers == [
        "server app1 192.0.2.11:8101 sni str(app1) check-sni app1 verifyhost app1",
        "server app2 192.0.2.12:8102 sni str(app2) check-sni app2 verifyhost app2",
    ]
    default = next(line for line in section(config, "backend composer") if line.startswith("default-server"))
    assert "verify required" in default and "crt /etc/ssl/composer/host.crt" in default


def test_a_call_is_repeated_only_when_nothing_of_it_was_sent(config: str) -> None:
    retries = [line for line in config.splitlines() if "retry-on" in line]
    assert [line.strip() for line in retries] == ["retry-on conn-failure"]


def test_streams_are_passed_on_unbuffered(config: str) -> None:
    assert "http-buffer-request" not in config and "compression" not in config
    assert "option http-no-delay" in section(config, "backend composer")


def verified(config: str) -> set[str]:
    """The algorithms with which the configuration verifies signatures."""
    return set(re.findall(r"jwt_verify\(([^,)]+),", config))


def treatments(config: str) -> dict[str, set[str]]:
    """What becomes of a token, by what its issuer and algorithm must be."""
    found = re.findall(
        r"set-var\(txn\.treatment\) str\((\w+)\) if is_mcp \{ var\(txn\.declared\) -m str (.*) \}", config
    )
    return {treatment: set(re.findall(r"'([^']+)'", pairs)) for treatment, pairs in found}


def test_the_algorithm_is_never_taken_from_the_token(config: str) -> None:
    assert verified(config) == {"ES256"}
    assert treatments(config) == {"verify": {"https://vault.example.org:8200/v1/identity/oidc|ES256"}}


def test_each_algorithm_is_bound_to_the_issuers_it_is_declared_for(render: Render) -> None:
    issuers = [
        {"issuer": "https://one.test", "jwks_url": "https://one.test/keys", "algorithms": ["RS256"]},
        {"issuer": "https://two.test", "jwks_url": "https://two.test/keys", "algorithms": ["ES384"]},
    ]
    lines = render(CONFIG, haproxy_issuers=issuers).splitlines()
    treated = [line.split("if is_mcp ")[1] for line in lines if "set-var(txn.treatment)" in line]
    assert treated == [
        "{ var(txn.declared) -m str 'https://one.test|RS256' }",
        "{ var(txn.declared) -m str 'https://two.test|ES384' }",
    ]
    for line in lines:
        if "jwt_verify(" in line:
            name, slot = re.findall(r"jwt_verify\((\w+),\S+/(\d+)\.pem\)", line)[0]
            assert f"{{ var(txn.algorithm) -m str {name} }} {{ var(txn.slot) -m str {slot} }}" in line
            assert "{ var(txn.treatment) -m str verify }" in line


EVERYTHING = ["ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "EdDSA"]


@pytest.mark.parametrize(("debian", "others"), [("12", {"PS256", "EdDSA"}), ("13", {"EdDSA"})])
@pytest.mark.parametrize("treatment", ["refuse", "pass"])
def test_what_this_haproxy_cannot_verify_is_treated_as_the_operator_says(
    render: Render, debian: str, others: set[str], treatment: str
) -> None:
    config = render(
        CONFIG,
        ansible_facts={"distribution_major_version": debian},
        haproxy_issuers=[
            {"issuer": "https://x.test", "jwks_url": "https://x.test/k", "algorithms": EVERYTHING}
        ],
        haproxy_unverifiable_tokens=treatment,
    )
    assert verified(config) == set(EVERYTHING) - others
    assert treatments(config) == {
        "verify": {f"https://x.test|{name}" for name in set(EVERYTHING) - others},
        treatment: {f"https://x.test|{name}" for name in others},
    }


def test_every_algorithm_that_may_be_declared_is_known_to_the_server() -> None:
    known = set(get_args(ASYMMETRIC))
    for role in ("haproxy", "composer_mcp"):
        specs = yaml.safe_load((ROLE.parent / role / "meta/argument_specs.yml").read_text())
        issuers = specs["argument_specs"]["main"]["options"][f"{role}_issuers"]["options"]
        assert set(issuers["algorithms"]["choices"]) == known


def test_algorithms_stand_in_the_same_order_in_every_run(render: Render) -> None:
    issuer = {"issuer": "https://x.test", "jwks_url": "https://x.test/k", "algorithms": EVERYTHING[::-1]}
    for line in render(CONFIG, haproxy_issuers=[issuer]).splitlines():
        pairs = re.findall(r"'(https://x.test\|\w+)'", line)
        assert pairs == sorted(pairs)
    shown = json.loads(render(KEYS, haproxy_issuers=[issuer]))["issuers"][0]
    assert shown["algorithms"] == sorted(shown["algorithms"])


def test_whoever_passes_unverified_is_neither_named_in_the_log_nor_counted_by_name(render: Render) -> None:
    issuer = {"issuer": "https://x.test", "jwks_url": "https://x.test/k", "algorithms": ["EdDSA"]}
    config = render(CONFIG, haproxy_issuers=[issuer], haproxy_unverifiable_tokens="pass")
    lines = section(config, "frontend front_door")
    assert "acl identified var(txn.verified) -m int 1" in lines
    for variable in ("txn.subject_json", "txn.identity"):
        uses = [line for line in lines if f"set-var({variable}) var(" in line]
        assert uses and all(line.endswith(" identified") for line in uses)
    assert "http-request set-var(txn.identity) src if is_mcp !identified" in lines
    # The log knows callers by this variable only.
    form = next(line for line in lines if line.startswith("log-format"))
    assert re.findall(r"var\(txn\.(\w+)\)", form) == ["subject_json", "path", "refusal"]


def test_a_gateway_that_verifies_nothing_itself_is_ready_without_keys(render: Render, config: str) -> None:
    issuer = {"issuer": "https://x.test", "jwks_url": "https://x.test/k", "algorithms": ["EdDSA"]}
    alone = render(CONFIG, haproxy_issuers=[issuer], haproxy_unverifiable_tokens="pass")

    def condition(text: str) -> str:
        return next(line for line in section(text, "frontend operations") if "txn.ready) bool" in line)

    assert "keys.map" in condition(config) and "keys.map" not in condition(alone)
    assert not verified(alone)
    assert json.loads(render(KEYS, haproxy_issuers=[issuer]))["issuers"][0]["algorithms"] == []


def test_passing_instead_of_refusing_changes_nothing_else(render: Render) -> None:
    issuer = {"issuer": "https://x.test", "jwks_url": "https://x.test/k", "algorithms": EVERYTHING}

    def rendered(treatment: str) -> str:
        text = render(CONFIG, haproxy_issuers=[issuer], haproxy_unverifiable_tokens=treatment)
        return re.sub(r'"revision":"\w+"', '"revision":""', text)

    # molecule/haproxy relies on it: there one configuration is turned into the other.
    assert rendered("refuse").replace("str(refuse)", "str(pass)") == rendered("pass") != rendered("refuse")


def test_no_rule_lets_a_call_pass_before_all_demands_are_checked(config: str) -> None:
    lines = section(config, "frontend front_door")
    last_demand = max(
        n for n, line in enumerate(lines) if line.startswith("http-request set-var(txn.refusal)")
    )
    first_refusal = next(n for n, line in enumerate(lines) if "return status 401" in line)
    assert last_demand < first_refusal < position(lines, "default_backend")
    demands = set(re.findall(r"set-var\(txn\.refusal\) str\((\w+)\)", config))
    answered = set(re.findall(r"if \{ var\(txn\.refusal\) -m str (\w+) \}", config))
    assert demands == answered
    assert not any(line.startswith(("use_backend", "http-request allow")) for line in lines)


def test_a_claimed_correlation_id_is_replaced(config: str) -> None:
    lines = section(config, "frontend front_door")
    assert "http-request set-header X-Correlation-Id %[unique-id]" in lines
    assert "http-after-response set-header X-Correlation-Id %[unique-id]" in lines


def test_logs_hold_neither_query_nor_headers(config: str) -> None:
    formats = re.findall(r"log-format ([^\n]*)\n", config)
    assert len(formats) == 3
    for form in formats:
        assert not re.search(r"%(\{[^}]*\})?(r|HU|HQ|hr|hs|hrl|hsl)\b|url|query|hdr|capture", form)


def test_every_answer_of_the_gateway_is_json_with_a_remedy(config: str) -> None:
    bodies = re.findall(r"content-type application/json string '(\{[^\n]*?\})'", config)
    assert len(bodies) > 12
    for body in bodies:
        assert set(json.loads(body)) == {"code", "message", "remedy", "retryable"}


def test_the_redirect_goes_to_the_site_not_to_the_claimed_host(config: str) -> None:
    rule = "http-request redirect prefix https://composer.example.org code 308"
    assert rule in section(config, "frontend plain")


def test_metrics_are_only_behind_a_client_certificate(config: str) -> None:
    operations = section(config, "frontend operations")
    assert "verify required" in operations[0]
    assert config.count("prometheus-exporter") == 1 and any(
        "prometheus-exporter" in line for line in operations
    )


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("haproxy_calls_per_minute", 7, "{ sc_http_req_rate(1) gt 7 }"),
        ("haproxy_refusals_per_minute", 8, "{ sc_http_req_rate(0) gt 8 }"),
        ("haproxy_max_body_bytes", 9, "{ req.body_size gt 9 }"),
        ("haproxy_stream_timeout_seconds", 61, "timeout server 61s"),
        ("haproxy_drain_seconds", 62, "hard-stop-after 62s"),
        ("haproxy_server_port", 8102, "server app1 192.0.2.11:8102 "),
    ],
)
def test_what_an_operator_sets_is_used(render: Render, variable: str, value: int, expected: str) -> None:
    assert expected in render(CONFIG, **{variable: value})


def test_the_running_gateway_tells_which_configuration_it_has(render: Render) -> None:
    def revisions(**variables: object) -> set[str]:
        return set(re.findall(r'"revision":"([0-9a-f]{12})"', render(CONFIG, **variables)))

    assert len(revisions()) == 1
    assert revisions() == revisions()
    assert revisions() != revisions(haproxy_calls_per_minute=7)
    assert revisions() != revisions(haproxy_servers={"app1": "192.0.2.99"})
    assert revisions() != revisions(haproxy_unverifiable_tokens="pass")
    issuer = {"issuer": "https://x.test", "jwks_url": "https://x.test/k"}
    assert revisions(haproxy_issuers=[issuer]) != revisions(
        haproxy_issuers=[{**issuer, "algorithms": ["RS256"]}]
    )


def test_every_variable_of_the_configuration_changes_its_revision() -> None:
    template = (ROLE / "templates/edge/etc/haproxy/haproxy.cfg.j2").read_text()
    used = set(re.findall(r"\bhaproxy_\w+", template))
    listed = (ROLE / "vars/main.yml").read_text()
    listed = listed[listed.index("_haproxy_inputs:") : listed.index("_haproxy_origin:")]
    assert used <= set(re.findall(r"\bhaproxy_\w+", listed))


def test_callers_see_the_front_doors_certificate_and_nobody_else_does(render: Render) -> None:
    config = render(CONFIG, tls_front_source="files")
    shown = dict(re.findall(r"^    bind (\S+) ssl crt (\S+)", config, re.MULTILINE))
    assert shown == {":443": "/etc/ssl/composer/front.crt", ":8404": "/etc/ssl/composer/host.crt"}
    # Application hosts let in who shows a certificate of the inside.
    default = next(line for line in section(config, "backend composer") if line.startswith("default-server"))
    assert " crt /etc/ssl/composer/host.crt " in default


def test_without_a_certificate_of_its_own_the_front_door_shows_its_hosts(config: str) -> None:
    shown = dict(re.findall(r"^    bind (\S+) ssl crt (\S+)", config, re.MULTILINE))
    assert shown == dict.fromkeys([":443", ":8404"], "/etc/ssl/composer/host.crt")


def test_without_acme_everything_at_the_plain_port_is_redirected(config: str) -> None:
    rules = [
        line for line in section(config, "frontend plain") if "redirect prefix" in line or "backend" in line
    ]
    assert rules == ["http-request redirect prefix https://composer.example.org code 308"]
    assert "proofs" not in config


def test_with_acme_proofs_alone_are_passed_on_and_to_nobody_but_the_front_doors(render: Render) -> None:
    config = render(
        CONFIG,
        tls_front_source="acme",
        groups={"edge": ["edge1", "edge2"]},
        inventory_hostname="edge1",
        hostvars={"edge2": {"host_address": "192.0.2.22"}},
    )
    plain = section(config, "frontend plain")
    assert (
        "http-request redirect prefix https://composer.example.org code 308 unless METH_GET is_proof" in plain
    )
    assert position(plain, "acl is_proof path_reg ^/\\.well-known/acme-challenge/[A-Za-z0-9_-]+$")
    servers = {
        name: [line for line in section(config, f"backend {name}") if line.startswith("server ")]
        for name in ("proofs", "own_proofs")
    }
    # Who is asked by another front door asks no further.
    assert servers == {
        "proofs": ["server here 127.0.0.1:889", "server front1 192.0.2.22:80"],
        "own_proofs": ["server here 127.0.0.1:889"],
    }
    # A front door that asks at the same time does not know the other's proof.
    assert "retry-on conn-failure 404 503" in section(config, "backend proofs")
    assert "proof" not in "".join(section(config, "frontend front_door"))
