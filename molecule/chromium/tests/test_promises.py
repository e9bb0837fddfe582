"""What the worker, and the operator, may expect of the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import OpenPage

UNITS = ["composer-worker@1", "composer-display", "page"]
SHELL = "/usr/bin/chromium-headless-shell"
FULL = "/usr/bin/chromium"
QUIET = "--user-data-dir=/tmp/profile"


def on_display(host: Any) -> bool:
    return "display" in host.ansible.get_variables()["group_names"]


# As root, because a sandboxed process hides from its own user.
LOOK = """
pid=$(timeout 30 sh -c 'until pgrep --oldest --uid composer --full [t]ype=renderer; do :; done')
grep Seccomp: /proc/$pid/status
readlink /proc/$pid/ns/user /proc/self/ns/user
"""


def test_pages_are_rendered_in_the_sandbox_by_a_user_without_rights(host: Any) -> None:
    browser = f"{FULL} --headless" if on_display(host) else SHELL
    command = f"exec {browser} {QUIET} --remote-debugging-port=9222 about:blank"
    host.check_output(f"echo '{command}' > /opt/page/command; systemctl start composer-worker@2")
    words = host.run(LOOK).stdout.split()
    host.check_output("systemctl stop composer-worker@2")
    _, seccomp, namespace, ours = words
    assert seccomp == "2", "the renderer's system calls are not filtered"
    assert namespace != ours, "the renderer has no user namespace of its own"


def test_an_authority_of_the_site_is_trusted_and_strangers_are_not(host: Any, open_page: OpenPage) -> None:
    name = host.check_output("hostname")
    browser = f"{FULL} --headless" if on_display(host) else SHELL
    assert "rendered by the browser" in open_page(f"{browser} {QUIET} --dump-dom https://localhost/")
    assert "rendered by" not in open_page(f"{browser} {QUIET} --dump-dom https://{name}.invalid.test/")
    without = f"XDG_DATA_HOME=/tmp/none {browser} {QUIET} --dump-dom https://localhost/"
    assert "rendered by" not in open_page(without)


def test_letters_of_all_scripts_we_promise_have_a_font(host: Any) -> None:
    for language in ("pt", "en", "el", "ru"):
        assert host.check_output(f"fc-list :lang={language} family") != ""


def test_a_host_without_need_of_a_display_runs_none(host: Any) -> None:
    assert host.service("composer-display").is_running == on_display(host)
