"""What role scenarios may rely on: the containers behave like machines."""

UNITS = ["greeting"]


def test_a_host_has_booted_without_a_failed_unit(host):
    assert host.check_output("systemctl is-system-running") == "running"


def test_a_neighbour_reaches_an_open_port_and_not_a_closed_one(host, neighbour):
    assert neighbour.can_connect(host, 8000)
    assert not neighbour.can_connect(host, 8001)


def test_a_unit_is_killed_when_it_outgrows_its_memory(host):
    run = "systemd-run --quiet --wait --collect --property=MemoryMax=64M python3 -c"
    assert host.run(f"{run} 'x = bytearray(20_000_000)'").rc == 0
    assert "killed" in host.run(f"{run} 'x = bytearray(200_000_000)' || echo killed").stdout


def test_a_unit_receives_its_credentials(host):
    process = host.check_output("systemctl show --property=MainPID --value greeting")
    credential = f"/proc/{process}/root/run/credentials/greeting.service/secret"
    assert host.check_output(f"cat {credential}") == host.check_output("hostname")


def test_hosts_know_each_other_by_name(host, neighbour):
    name = host.ansible.get_variables()["inventory_hostname"]
    assert neighbour.run(f"getent hosts {name}.lab.test").stdout.split()[0] == neighbour.address_of(host)
