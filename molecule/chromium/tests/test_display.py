"""What holds on hosts whose browser has a display."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from pictures import look

if TYPE_CHECKING:
    from conftest import OpenPage

testinfra_hosts = ["ansible://display"]
UNITS = ["composer-worker@1", "composer-display", "page"]
FULL = "/usr/bin/chromium"
QUIET = "--user-data-dir=/tmp/profile"
# An X client that says hello without the cookie; the first byte of the answer tells whether it is let in.
KNOCK = """
import socket
door = socket.socket(socket.AF_UNIX)
door.connect("/tmp/.X11-unix/X90")
door.sendall(b"l\\0\\x0b" + bytes(9))
print("let in" if door.recv(1) == b"\\x01" else "refused")
"""

POLICIES = "/etc/chromium/policies/managed/composer.json"
# What chrome://policy asks of the browser to fill its table.
IN_FORCE = """(async () => {
    const {addWebUiListener} = await import("chrome://resources/js/cr.js");
    const told = new Promise(done => addWebUiListener("policies-updated", (_, values) => done(values)));
    chrome.send("listenPoliciesUpdates");
    return (await told).policyGroups.chrome.policies;
})()"""


def test_the_browser_knows_every_policy_and_keeps_it(host: Any) -> None:
    in_force = json.loads(look(host, "chrome://policy", " ".join(IN_FORCE.split()), FULL))
    assert {name: policy["value"] for name, policy in in_force.items()} == json.loads(
        host.file(POLICIES).content_string
    )
    assert {policy["level"] for policy in in_force.values()} == {"mandatory"}
    assert not [name for name, policy in in_force.items() if policy.get("error")]


def test_pages_cannot_read_files_of_the_host(open_page: OpenPage) -> None:
    shown = open_page(f"{FULL} --headless {QUIET} --dump-dom file:///etc/hostname")
    assert "ERR_BLOCKED_BY_ADMINISTRATOR" in shown


def test_a_window_opens_on_the_display_and_only_for_those_invited(host: Any, open_page: OpenPage) -> None:
    shown = open_page(
        f"{FULL} {QUIET} --remote-debugging-port=9222 https://localhost/ >/dev/null 2>&1 & browser=$!\n"
        "timeout 30 sh -c 'until curl -s http://127.0.0.1:9222/json | grep -q title.*:.*.page; do :; done'\n"
        "curl -s http://127.0.0.1:9222/json\nkill $browser",
    )
    assert '"title": "page"' in shown
    assert host.run("ss -Hltn sport = :6090").stdout == ""
    assert host.check_output(f"runuser -u nobody -- python3 -c {shlex.quote(KNOCK)}") == "refused"
