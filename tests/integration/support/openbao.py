"""A real OpenBao that issues tokens as the platform's does: users with a tenant and scopes."""

from __future__ import annotations

import shutil
import ssl
import tempfile
from pathlib import Path
from typing import Any

import httpx

from .authority import Authority
from .processes import Process, free_port
from .programs import program

TEMPLATE = (
    '{"scope": {{identity.entity.metadata.scope}}, "tenant": {{identity.entity.metadata.tenant}}, '
    '"nbf": {{time.now}}}'
)
PASSWORD = "password-of-the-test-user"


class OpenBao:
    """One server in a temporary folder, unsealed."""

    def __init__(self, authority: Authority, audience: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="composer-test-openbao-"))
        certificate, key = authority.issue("openbao")
        port = free_port()
        self.url = f"https://localhost:{port}"
        self.issuer = f"{self.url}/v1/identity/oidc"
        self.jwks_url = f"{self.issuer}/.well-known/keys"
        self.authority = authority.certificate
        (self._folder / "server.hcl").write_text(f"""
            storage "inmem" {{}}
            listener "tcp" {{
              address = "127.0.0.1:{port}"
              tls_cert_file = "{certificate}"
              tls_key_file = "{key}"
            }}
            api_addr = "{self.url}"
        """)
        self._process = Process([program("bao"), "server", f"-config={self._folder}/server.hcl"])
        self._process.wait_for("OpenBao server started")
        self._trust = ssl.create_default_context(cafile=str(authority.certificate))
        self._http = httpx.Client(verify=self._trust, base_url=f"{self.url}/v1", timeout=20)
        opened = self._call("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
        self._call("PUT", "sys/unseal", {"key": opened["keys"][0]})
        self._http.headers["X-Vault-Token"] = opened["root_token"]
        self._call("POST", "sys/auth/userpass", {"type": "userpass"})
        self._accessor = self._call("GET", "sys/auth")["userpass/"]["accessor"]
        rules = 'path "identity/oidc/token/composer" { capabilities = ["read"] }'
        self._call("PUT", "sys/policies/acl/user", {"policy": rules})
        self._call("POST", "identity/oidc/config", {"issuer": self.url})
        self._call(
            "POST", "identity/oidc/key/composer", {"algorithm": "ES256", "allowed_client_ids": [audience]}
        )
        role = {"key": "composer", "client_id": audience, "ttl": "10m", "template": TEMPLATE}
        self._call("POST", "identity/oidc/role/composer", role)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self._http.request(method, path, json=body)
        assert answer.is_success, (
            f"{method} {path}: {answer.status_code} {answer.text}\n{self._process.output}"
        )
        return answer.json() if answer.content else None

    def add_user(self, name: str, tenant: str, scope: str) -> None:
        self._call("POST", f"auth/userpass/users/{name}", {"password": PASSWORD, "token_policies": ["user"]})
        metadata = {"tenant": tenant, "scope": scope}
        entity = self._call("POST", "identity/entity", {"name": name, "metadata": metadata})["data"]["id"]
        alias = {"name": name, "canonical_id": entity, "mount_accessor": self._accessor}
        self._call("POST", "identity/entity-alias", alias)

    def token(self, name: str) -> str:
        """Log in as a user and get a token for the server, as a user does."""
        with httpx.Client(verify=self._trust, timeout=20) as http:
            login = http.post(f"{self.url}/v1/auth/userpass/login/{name}", json={"password": PASSWORD})
            session = login.raise_for_status().json()["auth"]["client_token"]
            answer = http.get(
                f"{self.url}/v1/identity/oidc/token/composer", headers={"X-Vault-Token": session}
            )
            return str(answer.raise_for_status().json()["data"]["token"])

    def close(self) -> None:
        self._http.close()
        self._process.stop()
        shutil.rmtree(self._folder)
