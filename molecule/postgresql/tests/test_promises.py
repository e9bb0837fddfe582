"""What the application and operators may rely on of the database."""

from __future__ import annotations

import pytest

UNITS = ["postgresql@15-main", "postgresql@17-main"]
PASSWORDS = {"composer": "c4nary-of-composer", "composer_owner": "c4nary-of-owner"}
FRAME = (
    "host={host} user={user} dbname={database} sslmode={mode} "
    "sslrootcert=/etc/ssl/composer/authority.crt connect_timeout=5"
)


class Client:
    """psql on the application host, connecting over the network."""

    def __init__(self, host, neighbour):
        self.host = neighbour
        self.address = f"{host.backend.get_hostname()}.lab.test"

    def run(self, sql, user="composer", password=None, database="composer", mode="verify-full"):
        frame = FRAME.format(host=self.address, user=user, database=database, mode=mode)
        secret = PASSWORDS.get(user, "none") if password is None else password
        self.host.run(f'umask 077; echo "*:*:*:*:{secret}" > /root/pass')
        return self.host.run(f'PGPASSFILE=/root/pass psql -XqAt "{frame}" -c "{sql}"')

    def value(self, sql, **arguments):
        answer = self.run(sql, **arguments)
        assert answer.rc == 0, answer.stderr
        return answer.stdout.strip()


@pytest.fixture
def client(host, neighbour):
    return Client(host, neighbour)


def test_the_application_connects_over_verified_tls(client):
    assert client.value("select ssl, version from pg_stat_ssl where pid = pg_backend_pid()") == "t|TLSv1.3"


def test_without_tls_nobody_connects(client):
    answer = client.run("select 1", mode="disable")
    assert answer.rc != 0
    assert "no encryption" in answer.stderr


@pytest.mark.parametrize("user", ["composer", "composer_owner"])
def test_a_wrong_password_is_refused(client, user):
    answer = client.run("select 1", user=user, password="wrong")
    assert "password authentication failed" in answer.stderr


def test_nobody_is_superuser_over_the_network(client):
    assert "no pg_hba.conf entry" in client.run("select 1", user="postgres", database="postgres").stderr


def test_the_application_reaches_its_own_database_only(client):
    assert "no pg_hba.conf entry" in client.run("select 1", database="postgres").stderr


def test_a_host_that_nobody_declared_is_refused(host):
    name = host.backend.get_hostname()
    frame = FRAME.format(host=f"{name}.lab.test", user="composer", database="composer", mode="verify-full")
    assert "no pg_hba.conf entry" in host.run(f'psql -XqAt "{frame}" -c "select 1"').stderr


def test_the_owner_makes_tables_and_the_application_works_with_their_rows(client):
    client.value(
        "drop table if exists job; create table job (id bigserial, note text)", user="composer_owner"
    )
    client.value(
        "insert into job (note) values ('a'); update job set note = 'b'; delete from job where note = 'c'"
    )
    assert client.value("select note from job") == "b"


def test_the_application_cannot_change_the_schema(client):
    client.value("drop table if exists kept; create table kept (id int)", user="composer_owner")
    for statement in (
        "create table mine (id int)",
        "drop table kept",
        "truncate kept",
        "alter table kept add x int",
    ):
        answer = client.run(statement)
        assert answer.rc != 0, statement
        assert "permission denied" in answer.stderr or "must be owner" in answer.stderr


def test_the_application_may_listen_and_notify(client):
    assert (
        "Asynchronous notification"
        in client.run("listen jobs; notify jobs, 'one';").stdout
        + client.run("listen jobs; select pg_notify('jobs', 'one');").stdout
    )


def test_an_acknowledged_write_is_on_disk(client):
    assert client.value("show synchronous_commit") == "on"
    assert client.value("show fsync") == "on"


def test_it_listens_on_the_declared_addresses_only(host, neighbour):
    listening = host.check_output("ss -Hltn 'sport = :5432'")
    addresses = {line.split()[3].rsplit(":", 1)[0] for line in listening.splitlines()}
    assert addresses <= {neighbour.address_of(host), "127.0.0.1", "[::1]"}


def test_no_password_is_anywhere_but_in_its_file(host):
    nobody = "setpriv --reuid=nobody --regid=nogroup --clear-groups"
    places = {
        "journal": "journalctl --boot --no-pager | grep 'c4nary-o[f]'",
        "database log": "grep -r 'c4nary-o[f]\\|SCRAM-SHA-25[6]' /var/log/postgresql",
        "command lines": "cat /proc/[0-9]*/cmdline | grep -a 'c4nary-o[f]'",
        "environments": "cat /proc/[0-9]*/environ | grep -a 'c4nary-o[f]'",
        "world-readable files": f"{nobody} grep -rlI --exclude-dir=lists 'c4nary-o[f]' /etc /var /run /tmp",
    }
    assert [place for place, search in places.items() if host.run(search).stdout] == []


def test_it_is_back_after_a_reboot(host):
    assert host.service("postgresql").is_enabled
    assert host.run("pg_lsclusters --no-header").stdout.split()[3] == "online"
