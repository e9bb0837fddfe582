"""What leaves a host is what its roles declared; that everything works nevertheless, the other tests show."""

import re

import pytest

# Closed at the sender although the other end may be open: the front door is open to everybody.
UNDECLARED = [
    ("app1", "edge1.lab.test", 443),
    ("app2", "edge1.lab.test", 8404),
    ("app1", "app2.lab.test", 8101),
    ("app1", "core1.lab.test", 22),
    ("app1", "198.51.100.7", 443),
    ("app1", "198.51.100.7", 22),
    ("app1", "198.51.100.7", 5432),
    ("edge1", "core1.lab.test", 5432),
    ("core1", "composer.euconquisto.test", 443),
]
DECLARED = [
    ("app1", "core1.lab.test", 5432),
    ("app1", "core1.lab.test", 8200),
    ("app1", "core1.lab.test", 8333),
    ("app2", "composer.euconquisto.test", 443),
    ("edge1", "app1.lab.test", 8101),
    ("core1", "app2.lab.test", 9100),
]
SECONDS = 5
# Of bash: no connection. The firewall says so at once; a time limit that ran out would be 124.
REFUSED = 1


def connect(host, address: str, port: int):
    """Only the connection counts, whatever is spoken on it."""
    return host.run(f"timeout {SECONDS} bash -c 'exec 3<>/dev/tcp/{address}/{port}'")


def refused_so_far(host) -> int:
    """What the host's firewall did not let out."""
    found = re.search(r"packets ([0-9]+)", host.ask("nft list counter inet composer output"))
    assert found
    return int(found[1])


@pytest.mark.parametrize(("source", "address", "port"), UNDECLARED)
def test_where_nobody_declared_to_go_nothing_goes(site, source, address, port):
    host = site.host(source)
    before = refused_so_far(host)
    answer = connect(host, address, port)
    assert answer.returncode == REFUSED, answer
    assert refused_so_far(host) > before


@pytest.mark.parametrize(("source", "address", "port"), DECLARED)
def test_where_a_role_must_go_it_goes(site, source, address, port):
    answer = connect(site.host(source), address, port)
    assert answer.returncode == 0, answer


def test_it_is_the_senders_firewall_that_closes_the_open_front_door(site):
    """If the rules were gone the way would be open: the refusals above are theirs."""
    app = site.host("app1")
    assert connect(app, "edge1.lab.test", 443).returncode == REFUSED
    with app.unhindered():
        assert connect(app, "edge1.lab.test", 443).returncode == 0
    assert connect(app, "edge1.lab.test", 443).returncode == REFUSED


@pytest.mark.parametrize("name", ["edge1", "app1", "core1"])
def test_every_host_still_reaches_the_package_archive_and_names(site, name):
    host = site.host(name)
    host.ask("apt-get update -q -o APT::Update::Error-Mode=any", limit=180)
    assert host.ask("getent hosts core1.lab.test").startswith(site.host("core1").address)
