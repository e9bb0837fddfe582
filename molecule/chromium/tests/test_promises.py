"""What the worker, and the operator, may expect of the browser."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

UNITS = ["composer-worker@1", "composer-display", "page"]
SHELL = "/usr/bin/chromium-headless-shell"
FULL = "/usr/bin/chromium"
# An X client that says hello without the cookie; the first byte of the answer tells whether it is let in.
KNOCK = """
import socket
door = socket.socket(socket.AF_UNIX)
door.connect("/tmp/.X11-unix/X90")
door.sendall(b"l\\0\\x0b" + bytes(9))
print("let in" if door.recv(1) == b"\\x01" else "refused")
"""
QUIET = "--user-data-dir=/tmp/profile"


def on_display(host: Any) -> bool:
    return "display" in host.ansible.get_variables()["group_names"]


def open_page(host: Any, command: str) -> str:
    """Run a command as the worker's unit does; its standard output."""
    host.check_output("systemctl start page")
    host.run(f"cat > /opt/page/command <<'END'\n{command}\nEND")
    host.run("systemctl reset-failed composer-worker@1; systemctl start --wait composer-worker@1")
    return str(host.file("/opt/page/output").content_string)


def test_a_page_renders_for_the_service_user_with_the_sandbox_on(host: Any) -> None:
    browser = f"{FULL} --headless" if on_display(host) else SHELL
    shown = open_page(
        host,
        f"{browser} {QUIET} --remote-debugging-port=9222 about:blank >/dev/null 2>&1 & browser=$!\n"
        "timeout 20 sh -c 'until pgrep -u composer -f [t]ype=zygote >/dev/null; do :; done'\n"
        "for p in $(pgrep -u composer -f [t]ype=zygote); do\n"
        "  grep Seccomp: /proc/$p/status; readlink /proc/$p/ns/user\n"
        "done\n"
        "readlink /proc/self/ns/user\nkill $browser",
    )
    lines = shown.split()
    assert "Seccomp:" in lines and lines[lines.index("Seccomp:") + 1] == "2"
    namespaces = {word for word in lines if word.startswith("user:")}
    assert len(namespaces) == 2, f"the zygote shares the worker's user namespace: {shown}"


def test_an_authority_of_the_site_is_trusted_and_strangers_are_not(host: Any) -> None:
    name = host.check_output("hostname")
    browser = f"{FULL} --headless" if on_display(host) else SHELL
    assert "rendered by the browser" in open_page(host, f"{browser} {QUIET} --dump-dom https://localhost/")
    assert "rendered by" not in open_page(host, f"{browser} {QUIET} --dump-dom https://{name}.invalid.test/")
    without = f"XDG_DATA_HOME=/tmp/none {browser} {QUIET} --dump-dom https://localhost/"
    assert "rendered by" not in open_page(host, without)


def test_letters_of_all_scripts_we_promise_have_a_font(host: Any) -> None:
    for language in ("pt", "en", "el", "ru"):
        assert host.check_output(f"fc-list :lang={language} family") != ""


def test_pages_cannot_read_files_of_the_host(host: Any) -> None:
    if not on_display(host):
        pytest.skip("the headless shell reads no policies; the worker's pool refuses such addresses itself")
    shown = open_page(host, f"{FULL} --headless {QUIET} --dump-dom file:///etc/hostname")
    assert "ERR_BLOCKED_BY_ADMINISTRATOR" in shown


def test_a_window_opens_on_the_display_and_only_for_those_invited(host: Any) -> None:
    if not on_display(host):
        pytest.skip("headless hosts have no display")
    shown = open_page(
        host,
        f"{FULL} {QUIET} --remote-debugging-port=9222 https://localhost/ >/dev/null 2>&1 & browser=$!\n"
        "timeout 30 sh -c 'until curl -s http://127.0.0.1:9222/json | grep -q title.*:.*.page; do :; done'\n"
        "curl -s http://127.0.0.1:9222/json\nkill $browser",
    )
    assert '"title": "page"' in shown
    assert host.run("ss -Hltn sport = :6090").stdout == ""
    assert host.check_output(f"runuser -u nobody -- python3 -c {shlex.quote(KNOCK)}") == "refused"


def test_a_host_without_need_of_a_display_runs_none(host: Any) -> None:
    assert host.service("composer-display").is_running == on_display(host)
