"""podman is configured for the machine it runs on, ordinary or restricted."""

from pathlib import Path

import pytest

from lab import images, machine
from lab.hosts import hardware_address
from lab.problem import Problem

ORDINARY = machine.Machine(
    systemd=True, cgroup_v2=True, may_raise_limits=True, files_limit=1048576, processes_limit=100
)
RESTRICTED = machine.Machine(
    systemd=False, cgroup_v2=False, may_raise_limits=False, files_limit=20000, processes_limit=30000
)


def test_an_ordinary_machine_keeps_podmans_own_choices():
    text = machine.containers_conf(ORDINARY)
    assert "default_ulimits" not in text and "cgroup_manager" not in text


def test_a_restricted_machine_gets_limits_that_it_can_grant():
    text = machine.containers_conf(RESTRICTED)
    assert '"nofile=20000:20000"' in text and '"nproc=30000:30000"' in text
    assert 'cgroup_manager = "cgroupfs"' in text


def test_a_failed_command_says_what_it_printed():
    with pytest.raises(Problem) as caught:
        machine.run(["sh", "-c", "echo the reason >&2; exit 3"])
    assert "status 3" in caught.value.happened and "the reason" in caught.value.happened


def test_a_program_that_is_not_installed_is_a_problem_with_a_remedy():
    with pytest.raises(Problem) as caught:
        machine.run(["no-such-program-at-all"])
    assert "bootstrap" in caught.value.remedy


def test_a_command_that_hangs_is_ended():
    with pytest.raises(Problem) as caught:
        machine.run(["tail", "-f", "/dev/null"], timeout=0.1)
    assert "did not finish" in caught.value.happened


def test_the_machines_own_mirror_is_used():
    listing = "Debian https://mirror.example/debian/\nDebian-Security https://mirror.example/security/\nOther http://x/\n"
    assert images.parse_mirrors(listing) == {
        "Debian": "https://mirror.example/debian",
        "Debian-Security": "https://mirror.example/security",
    }


def test_without_a_usable_mirror_the_public_one_is_used():
    assert images.parse_mirrors("Debian cdrom://disc\n") == images.PUBLIC_MIRRORS


def test_only_settings_about_reaching_an_archive_are_carried_over():
    dump = (
        'Acquire::http::Proxy "http://proxy:3128";\nAPT::Periodic::Enable "1";\nDpkg::Options:: "--force";\n'
    )
    assert images.select_apt_options(dump) == ['Acquire::http::Proxy "http://proxy:3128";']


@pytest.mark.parametrize(
    ("settings", "ports"),
    [
        (["http://deb.debian.org/debian", "http://deb.debian.org/debian-security"], [80]),
        (["https://mirror.example.org/debian", "http://mirror.example.org:8080/security"], [443, 8080]),
        (["http://mirror.example.org/debian", 'Acquire::http::Proxy "http://proxy:3128";'], [80, 3128]),
        (['Acquire::Retries "3";'], []),
    ],
)
def test_the_ports_of_the_archive_and_of_a_proxy_are_known(settings: list[str], ports: list[int]) -> None:
    assert images.select_ports(settings) == ports


def test_an_address_always_has_the_same_hardware_address():
    assert hardware_address("10.93.0.18") == "02:00:0a:5d:00:12"


def test_the_package_list_has_no_comments_and_each_package_once():
    listed = images.packages()
    assert "haproxy" in listed and not any(word.startswith("#") for word in listed)
    assert len(listed) == len(set(listed))


def test_the_init_shim_is_executable():
    assert Path(machine.PROJECT / "lab" / "resources" / "lab-init").stat().st_mode & 0o111
