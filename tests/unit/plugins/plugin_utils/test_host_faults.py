from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.euconquisto.composer.plugins.plugin_utils.host_faults import (
    of_apt,
    of_start,
    without_candidate,
)

WAITED = (
    "Waiting for cache lock: Could not get lock /var/lib/dpkg/lock-frontend. "
    "It is held by process 236 (python3)..."
)
LOCK = (
    "E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?"
)
LISTS = (
    "Failed to lock apt for exclusive operation: Failed to lock directory /var/lib/apt/lists/: "
    "E:Could not get lock /var/lib/apt/lists/lock. It is held by process 41 (apt-get)"
)
POLICY = """\
probe:
  Installed: (none)
  Candidate: 1.0
  Version table:
     1.0 500
mail-transport-agent:
  Installed: (none)
  Candidate: (none)
  Version table:
"""


def failed(msg: str = "'/usr/bin/apt-get -y install probe' failed", **more: Any) -> dict[str, Any]:
    return {"failed": True, "msg": msg, **more}


def told(result: dict[str, Any], missing: tuple[str, ...] = ()) -> str:
    return of_apt(result, ["probe", "other"], missing, 300)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (
            failed(stderr=LOCK, stdout=f"{WAITED}\r\n{WAITED}"),
            "for 300 s: process 236 (python3) holds /var/lib/dpkg/lock-frontend, and probe, other must wait",
        ),
        (failed(stderr=LOCK), "for 300 s: somebody holds /var/lib/dpkg/lock-frontend, and"),
        (failed(LISTS), "process 41 (apt-get) holds /var/lib/apt/lists/lock, and"),
    ],
)
def test_a_held_lock_is_told_with_its_holder(result: dict[str, Any], expected: str) -> None:
    said = told(result)
    assert expected in said
    assert "Let it finish" in said and said.endswith("No package was installed or removed on this host.")


def test_who_was_seen_to_hold_a_lock_is_told_rather_than_what_apt_knows() -> None:
    said = of_apt(failed(stderr=LOCK, stdout=WAITED), ["probe"], [], 300, "process 7 (aptitude upgrade)")
    assert "process 7 (aptitude upgrade) holds /var/lib/dpkg/lock-frontend, and probe must wait" in said


def test_a_lock_that_was_waited_for_in_time_is_not_blamed() -> None:
    said = told(failed(stderr="E: Sub-process /usr/bin/dpkg returned an error code (1)", stdout=WAITED))
    assert said.startswith(
        "apt failed with probe, other: Sub-process /usr/bin/dpkg returned an error code (1)."
    )
    assert said.endswith(
        "`dpkg --audit` names packages that are unpacked and not set up; the next run goes on from there."
    )


@pytest.mark.parametrize(("missing", "named"), [(("other", "more"), "other, more"), ((), "other")])
def test_every_package_that_no_archive_has_is_named(missing: tuple[str, ...], named: str) -> None:
    said = told(failed("No package matching 'other' is available"), missing)
    assert said.startswith(f"No package archive of this host offers {named}. ")
    assert "(`apt-cache policy other`)" in said and said.endswith(
        "No package was installed or removed on this host."
    )


@pytest.mark.parametrize(
    ("text", "beginning", "remedy"),
    [
        (
            "Failed to update apt cache after 5 retries: ",
            "The lists of the package archive",
            "firewall_host_out",
        ),
        (
            "E: Failed to fetch file:/x/probe.deb",
            "The archive does not give what it",
            "until `apt-get update`",
        ),
        (
            "E: You don't have enough free space in /var/cache.",
            "No room for probe, other: You don't",
            "df -i",
        ),
        ("dpkg: error: No space left on device", "No room for probe, other: ", "apt-get clean"),
        ("E: dpkg is confused", "apt failed with probe, other: dpkg is confused. ", "Mend what it names"),
    ],
)
def test_each_failure_of_apt_has_its_remedy(text: str, beginning: str, remedy: str) -> None:
    said = told(failed(text))
    assert said.startswith(beginning) and remedy in said and "then run this again." in said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FileNotFoundError: [Errno 2] No usable temporary directory found in ['/tmp']", "its disk is full"),
        ("OSError: [Errno 28] No space left on device", "its disk is full"),
        ("OSError: [Errno 30] Read-only file system: '/tmp'", "its file system is read-only"),
    ],
)
def test_a_module_that_cannot_start_for_want_of_a_disk_says_so(text: str, expected: str) -> None:
    said = of_start({"failed": True, "msg": "MODULE FAILURE", "module_stderr": text})
    assert said is not None and expected in said and said.endswith("Nothing was changed on it.")


def test_a_module_that_cannot_start_for_another_reason_keeps_its_own_words() -> None:
    assert of_start({"failed": True, "module_stderr": "SyntaxError: invalid syntax"}) is None


def test_a_package_is_offered_when_it_has_a_candidate() -> None:
    names = ["probe", "mail-transport-agent", "no-such-package"]
    assert without_candidate(names, POLICY) == ["mail-transport-agent", "no-such-package"]
    # A terminal ends its lines so.
    assert without_candidate(["probe"], POLICY.replace("\n", "\r\n")) == []
