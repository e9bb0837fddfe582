# Copyright: EuConquisto Composer contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A small OpenBao client for modules: TLS always verified, every wait limited, no secret in any error text.

What state is wanted lives in the modules; this file only speaks the wire protocol.
"""

from __future__ import annotations

import json
import socket
import time
import typing as t
from urllib.error import HTTPError, URLError

from ansible.module_utils.urls import open_url

CONNECTION_OPTIONS: dict[str, dict[str, t.Any]] = {
    "url": {"type": "str", "required": True},
    "ca_path": {"type": "path", "required": True},
    "wait": {"type": "int", "default": 60},
}
LOGIN_OPTIONS: dict[str, dict[str, t.Any]] = {
    "username": {"type": "str", "default": "provisioner"},
    "password": {"type": "str", "required": True, "no_log": True},
}


class OpenBaoError(Exception):
    """OpenBao refused a request or cannot be reached. ``status`` is the HTTP status, 0 without an answer."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class OpenBao:
    """One connection's address, trust and token."""

    def __init__(self, url: str, ca_path: str, token: str | None = None, timeout: int = 20) -> None:
        if not url.startswith("https://"):
            raise OpenBaoError(
                f"{url} is not an https address. OpenBao carries secrets, so this module speaks only TLS. "
                "Give the https address of the server. Nothing was sent."
            )
        self.url = url.rstrip("/")
        self.ca_path = ca_path
        self.token = token
        self.timeout = timeout

    def call(
        self, method: str, path: str, data: t.Any = None, missing_ok: bool = False, wrap_ttl: int = 0
    ) -> dict[str, t.Any]:
        """Send one request and return the decoded answer, empty where OpenBao has nothing to say.

        With ``missing_ok`` a 404 gives an empty answer: callers compare with what is not there yet.
        With ``wrap_ttl`` the answer holds a single-use token in place of the data.
        """
        headers = {"Content-Type": "application/json", "X-Vault-Request": "true"}
        if self.token:
            headers["X-Vault-Token"] = self.token
        if wrap_ttl:
            headers["X-Vault-Wrap-TTL"] = str(wrap_ttl)
        try:
            answer = open_url(
                f"{self.url}/v1/{path}",
                method=method,
                data=None if data is None else json.dumps(data),
                headers=headers,
                ca_path=self.ca_path,
                timeout=self.timeout,
                use_proxy=False,
                follow_redirects="none",
            )
            body = answer.read()
        except HTTPError as problem:
            if problem.code == 404 and missing_ok:
                return {}
            raise OpenBaoError(
                f"OpenBao at {self.url} answered {problem.code} to {method} {path}: {_reasons(problem)}",
                problem.code,
            ) from problem
        except (URLError, OSError, socket.timeout) as problem:
            raise OpenBaoError(
                f"OpenBao at {self.url} cannot be reached: {getattr(problem, 'reason', problem)}"
            ) from problem
        return json.loads(body) if body else {}

    def read(self, path: str) -> dict[str, t.Any] | None:
        """Return the ``data`` of a path, or None when there is nothing."""
        answer = self.call("GET", path, missing_ok=True)
        return answer.get("data") if answer else None

    def write(self, path: str, data: dict[str, t.Any]) -> dict[str, t.Any]:
        """Write a path; waits out the moment in which a new key-value mount is being prepared."""
        for attempt in range(20):
            try:
                return self.call("POST", path, data)
            except OpenBaoError as problem:
                if "Upgrading from non-versioned" not in str(problem) or attempt == 19:
                    raise
                time.sleep(0.25)
        raise AssertionError("unreachable")

    def wait_until_ready(self, limit: int) -> None:
        """Return once the server is initialized and unsealed; raise when ``limit`` seconds are over."""
        deadline = time.monotonic() + limit
        while True:
            try:
                self.call("GET", "sys/health?standbyok=true")
                return
            except OpenBaoError as problem:
                # 501: not initialized, 503: sealed. Both pass by themselves with a static seal.
                if time.monotonic() >= deadline:
                    raise OpenBaoError(
                        f"{problem}. It did not become ready within {limit} s. Look at "
                        "`systemctl status openbao` and `journalctl -u openbao` on its host "
                        "(501: not initialized, 503: sealed). "
                        "Nothing was changed.",
                        problem.status,
                    ) from problem
            time.sleep(0.5)

    def login(self, username: str, password: str, mount: str = "userpass", limit: int = 0) -> None:
        """Log in and keep the token. For ``limit`` seconds a refusal is tried again.

        Right after the first start the server is up a moment before its first login exists.
        """
        deadline = time.monotonic() + limit
        while True:
            try:
                answer = self.call("POST", f"auth/{mount}/login/{username}", {"password": password})
                self.token = answer["auth"]["client_token"]
                return
            except OpenBaoError as problem:
                if problem.status not in (400, 403, 404) or time.monotonic() >= deadline:
                    raise OpenBaoError(
                        f"OpenBao at {self.url} did not accept the login of {username}: {problem}. "
                        "Check that the password is the one the server was initialized with. "
                        "Nothing was changed.",
                        problem.status,
                    ) from problem
            time.sleep(1)

    def login_approle(self, role_id: str, secret_id: str) -> None:
        """Log in as a machine and keep the token."""
        answer = self.call("POST", "auth/approle/login", {"role_id": role_id, "secret_id": secret_id})
        self.token = answer["auth"]["client_token"]

    def logout(self) -> None:
        """Revoke the own token, if there is one."""
        if self.token:
            self.call("POST", "auth/token/revoke-self")
            self.token = None


def _reasons(problem: HTTPError) -> str:
    """The server's own reasons; never the request, which may carry a secret."""
    try:
        errors = json.loads(problem.read()).get("errors") or []
    except (ValueError, OSError, AttributeError):
        errors = []
    return "; ".join(str(error).strip().replace("\n", " ") for error in errors) or problem.reason


class Changes:
    """Collects what differs, for ``changed`` and the diff, and applies it outside check mode."""

    def __init__(self, check_mode: bool) -> None:
        self.check_mode = check_mode
        self.before: dict[str, t.Any] = {}
        self.after: dict[str, t.Any] = {}

    def __bool__(self) -> bool:
        return bool(self.after or self.before)

    def record(self, what: str, before: t.Any, after: t.Any) -> bool:
        """Note a difference under a name; returns whether it should be applied now."""
        self.before[what] = before
        self.after[what] = after
        return not self.check_mode

    def diff(self) -> dict[str, t.Any]:
        """What Ansible shows with --diff. Callers record no secrets, so there are none."""
        return {"before": self.before, "after": self.after}


def differing(present: dict[str, t.Any] | None, wanted: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the keys of ``wanted`` whose value is not the present one. Lists are compared without order."""

    def plain(value: t.Any) -> t.Any:
        return sorted(value, key=str) if isinstance(value, list) else value

    present = present or {}
    return {key: value for key, value in wanted.items() if plain(present.get(key)) != plain(value)}


def ensure(
    bao: OpenBao, changes: Changes, path: str, wanted: dict[str, t.Any], name: str | None = None
) -> bool:
    """Make ``path``, which reads back what was written, hold ``wanted``; returns whether it differed."""
    present = bao.read(path)
    different = differing(present, wanted)
    if not different:
        return False
    before = {key: (present or {}).get(key) for key in different} if present else None
    if changes.record(name or path, before, different):
        bao.write(path, wanted)
    return True
