"""What the demonstration stands on: the stand-in for Composer, a browser that trusts it, a configuration.

What is made there stays in ``.cache/demo``; keys and addresses are made anew at each start, because the
stand-in's port is another one each time.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.composer_standin.account import CONNECTOR_UID, PROJECT_UID
from tests.integration.support.authority import Authority
from tests.integration.support.processes import free_port

PROJECT = Path(__file__).resolve().parents[1]
KEPT = PROJECT / ".cache" / "demo"
BROWSERS = ("chromium-headless-shell", "chromium")
PREFIX = "composer-demo-"
START_SECONDS = 20.0
#: The server closes its browser meanwhile.
SERVER_STOP_SECONDS = 15.0

#: Stands in the place of the browser. The flag has it trust one certificate, by its key, and no other.
#: Chromium's sandbox refuses to run for root; then the browser runs as nobody, with its folders its own.
LAUNCHER = """#!/bin/sh
@AS_ROOT@
exec @PREFIX@ env HOME="$TMPDIR" @BROWSER@ --ignore-certificate-errors-spki-list=@PIN@ "$@"
"""
GIVE_FOLDERS = """for argument in "$@"; do
  case $argument in --user-data-dir=*) chown -R nobody: "${argument#--user-data-dir=}" "$TMPDIR" ;; esac
done"""
BECOME_NOBODY = "setpriv --reuid=nobody --regid=nogroup --clear-groups"


class Problem(Exception):
    """The demonstration cannot go on; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything is, once it stands."""

    config: Path
    credentials: Path
    app_url: str


@contextlib.contextmanager
def standing() -> Iterator[Place]:
    """Start the stand-in and write the configuration; both are gone when the context is left.

    Raises:
        Problem: no browser is installed, or the stand-in does not start.
    """
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        raise Problem(f"neither {' nor '.join(BROWSERS)} is installed. Run: apt-get install {BROWSERS[0]}")
    KEPT.mkdir(parents=True, exist_ok=True)
    _tidy()
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    try:
        # Another user's browser must reach its files below.
        folder.chmod(0o711)
        authority = Authority(folder / "authority", "demonstration")
        (folder / "authority").chmod(0o700)
        with _standin(authority) as app_url:
            yield _configure(folder, authority, browser, app_url)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tidy() -> None:
    """Remove what demonstrations left that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        process = folder.name.removeprefix(PREFIX).partition("-")[0]
        if not Path("/proc", process).exists():
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _standin(authority: Authority) -> Iterator[str]:
    certificate, key = authority.issue("standin")
    port = free_port()
    url = f"https://127.0.0.1:{port}"
    command = [
        sys.executable, "-m", "composer_standin", "--port", str(port), "--certificate", str(certificate),
        "--key", str(key), "--state-dir", str(KEPT / "standin"), "--web-url", url, "--api-url", url,
    ]  # fmt: skip
    with (KEPT / "standin.log").open("w") as log:
        # Ends with us, however we end; and Ctrl-C is ours to pass on.
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command],
            env=os.environ | {"PYTHONPATH": str(PROJECT / "tests")},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        _await(process, port)
        yield url
    finally:
        # It keeps every write at once and has nothing to say goodbye to.
        process.kill()
        process.wait()


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    said = (KEPT / "standin.log").read_text()[-2000:]
    raise Problem(f"the stand-in for Composer did not start within {START_SECONDS:.0f} s. It said:\n{said}")


def _configure(folder: Path, authority: Authority, browser: str, app_url: str) -> Place:
    launcher, credentials, config = folder / "browser", folder / "credentials", folder / "config.toml"
    as_root = os.geteuid() == 0
    text = LAUNCHER.replace("@AS_ROOT@", GIVE_FOLDERS if as_root else "")
    text = text.replace("@PREFIX@", BECOME_NOBODY if as_root else "")
    launcher.write_text(text.replace("@BROWSER@", browser).replace("@PIN@", _pin(folder / "authority")))
    launcher.chmod(0o755)
    credentials.mkdir(mode=0o700)
    shutil.copy(KEPT / "standin" / "project-key", credentials / "composer-project-key")
    token = subprocess.run(
        [sys.executable, "-m", "composer_standin", "token", "--key-file", KEPT / "standin" / "signing-key"],
        env=os.environ | {"PYTHONPATH": str(PROJECT / "tests")},
        check=True, capture_output=True, text=True, timeout=START_SECONDS,
    ).stdout  # fmt: skip
    (credentials / "composer-token").write_text(token)
    sections = {
        "composer": {
            "app_url": app_url,
            "api_url": app_url,
            "media_url": f"{app_url}/rdpcomposer/media",
            "project_uid": PROJECT_UID,
            "connector_uid": CONNECTOR_UID,
            "authority": str(authority.certificate),
        },
        "browser": {"executable": str(launcher), "temporary_directory": str(folder)},
        "log": {"format": "console"},
    }
    lines = [f"state_directory = {json.dumps(str(KEPT / 'state'))}"]
    for section, values in sections.items():
        lines += [f"[{section}]", *(f"{name} = {json.dumps(value)}" for name, value in values.items())]
    config.write_text("\n".join(lines) + "\n")
    return Place(config, credentials, app_url)


def _pin(folder: Path) -> str:
    """Return what Chromium calls a certificate's key by: SHA-256 of its public half."""
    certificate = x509.load_pem_x509_certificate((folder / "standin.crt").read_bytes())
    public = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(public).digest()).decode()


def serve(place: Place) -> int:
    """Run the server on our own standard input and output until it ends; return its exit code."""
    command = [
        sys.executable, "-m", "composer_mcp", "stdio",
        "--config", str(place.config), "--credentials", str(place.credentials),
    ]  # fmt: skip
    process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", *command])
    try:
        return process.wait()
    finally:
        # On the way out of an interruption; a server that has ended is not there to hear it.
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(SERVER_STOP_SECONDS)
        process.kill()
