"""When a certificate changes, exactly its services are told, and one that fails is seen to fail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

UNITS = ["composer-certificate.path", "composer-certificate.service"]
FOLDER = "/etc/ssl/composer"
RUNS = "[Service]\\nExecStart=/usr/bin/sleep infinity\\n"
# What a service answers that does not take the certificate.
REFUSES = RUNS + "ExecReload=/usr/bin/test -e /run/certificate-accepted\\n"
# Told by the watch: nothing else here starts it.
TOLD = "until systemctl show -P MainPID {unit} | grep -qvx -e {process} -e 0; do sleep 0.1; done"


def process(host: Any, unit: str) -> str:
    return str(host.run(f"systemctl show -P MainPID {unit}").stdout.strip())


def restarted(host: Any, unit: str, before: str) -> bool:
    return bool(host.run(f"timeout 20 sh -c '{TOLD.format(unit=unit, process=before)}'").succeeded)


def rest(host: Any) -> None:
    """Wait until the watch has done what the last change started."""
    ended = "systemctl show -P ActiveState composer-certificate | grep -qx -e inactive -e failed"
    quiet = f"until {ended}; do sleep 0.1; done"
    assert host.run(f"timeout 30 sh -c '{quiet}'").succeeded


def look(host: Any) -> Any:
    """What the timer does every ten minutes."""
    rest(host)
    return host.run("systemctl start composer-certificate.service")


def replace(host: Any, name: str) -> None:
    """Other bytes of the same meaning, put in place as the role does: a new file under the old name."""
    assert host.run(f"cd {FOLDER} && cp -p {name} new && echo >> new && mv new {name}").succeeded


@pytest.fixture(autouse=True)
def services(host: Any) -> Iterator[None]:
    runs = ["certificate-user", "last-one", "front-user", "bystander"]
    units = {**dict.fromkeys(runs, RUNS), "certificate-refuser": REFUSES}
    host.run(f"cp -a {FOLDER} /root/certificates; touch /run/certificate-accepted")
    for name, unit in units.items():
        host.run(f"printf '{unit}' > /run/systemd/system/{name}.service")
    host.run("systemctl daemon-reload")
    assert host.run(f"systemctl start {' '.join(units)}").succeeded
    assert look(host).succeeded
    yield
    host.run("touch /run/certificate-accepted")
    host.run(f"cd /root/certificates && cp -a . {FOLDER}/; rm -r /root/certificates")
    host.run("systemctl start composer-certificate.service")
    for name in units:
        host.run(f"systemctl stop {name}; rm /run/systemd/system/{name}.service")
    host.run("systemctl daemon-reload; systemctl reset-failed")


@pytest.mark.parametrize("name", ["host.crt", "host.key", "authority.crt"])
def test_a_service_is_told_when_any_of_the_files_changes(host: Any, name: str) -> None:
    before = {
        unit: process(host, unit) for unit in ("certificate-user", "last-one", "front-user", "bystander")
    }
    replace(host, name)
    assert restarted(host, "certificate-user", before["certificate-user"])
    assert restarted(host, "last-one", before["last-one"])
    rest(host)
    assert all(process(host, unit) == before[unit] for unit in ("front-user", "bystander"))
    assert host.run("systemctl is-failed composer-certificate.service").failed


def test_the_front_doors_certificate_concerns_the_front_door_alone(host: Any) -> None:
    before = {unit: process(host, unit) for unit in ("front-user", "certificate-user")}
    replace(host, "front.crt")
    assert restarted(host, "front-user", before["front-user"])
    rest(host)
    assert process(host, "certificate-user") == before["certificate-user"]


def test_a_service_is_not_told_again_of_what_it_knows(host: Any) -> None:
    before = process(host, "certificate-user")
    assert look(host).succeeded
    assert process(host, "certificate-user") == before


def test_a_service_that_does_not_run_stays_as_it_is(host: Any) -> None:
    host.run("systemctl stop last-one")
    replace(host, "host.crt")
    assert look(host).succeeded
    assert host.run("systemctl is-active last-one").stdout.strip() == "inactive"


def test_a_service_that_refuses_is_seen_and_keeps_none_from_being_told(host: Any) -> None:
    before = process(host, "last-one")
    host.run("rm /run/certificate-accepted")
    replace(host, "host.crt")
    assert restarted(host, "last-one", before)
    rest(host)
    assert host.run("systemctl is-failed composer-certificate.service").succeeded
    journal = host.run("journalctl -u composer-certificate -n 20 -o cat").stdout
    assert "certificate-refuser.service" in journal
    # It is tried again until it succeeds: a failure is not forgotten because time has passed.
    assert look(host).failed
    host.run("touch /run/certificate-accepted")
    assert look(host).succeeded


def test_a_service_that_died_of_its_certificate_is_not_taken_for_one_that_was_stopped(host: Any) -> None:
    broken = RUNS.replace("sleep infinity", "false")
    host.run(f"printf '{broken}' > /run/systemd/system/last-one.service; systemctl daemon-reload")
    host.run("systemctl restart last-one; until systemctl is-failed last-one; do sleep 0.1; done")
    replace(host, "host.crt")
    assert look(host).failed
    assert "last-one.service" in host.run("journalctl -u composer-certificate -n 20 -o cat").stdout


def test_a_key_of_another_certificate_reaches_no_service(host: Any) -> None:
    before = process(host, "certificate-user")
    other = f"openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {FOLDER}/new"
    assert host.run(f"{other} && mv {FOLDER}/new {FOLDER}/host.key").succeeded
    assert look(host).failed
    assert process(host, "certificate-user") == before
    assert "do not belong together" in host.run("journalctl -u composer-certificate -n 20 -o cat").stdout
