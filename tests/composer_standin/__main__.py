"""Run the stand-in, or make what an account needs.

python -m composer_standin --host 127.0.0.1 --port 9443 --certificate C --key K --state-dir DIR
python -m composer_standin token --key-file DIR/signing-key
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn

from composer_standin.account import (
    CONNECTOR_UID,
    PROJECT_KEY_LENGTH,
    PROJECT_UID,
    Account,
    make_token,
    read_or_make,
)
from composer_standin.app import application
from composer_standin.control import control
from composer_standin.faults import Faults
from composer_standin.store import Store

SIGNING_KEY_LENGTH = 64


def main(arguments: list[str]) -> None:
    """Parse the command line and run."""
    if arguments[:1] == ["token"]:
        parser = argparse.ArgumentParser(prog="composer_standin token", description="Print a new token.")
        parser.add_argument("--key-file", type=Path, required=True, help="HS256 key; made if absent")
        print(make_token(read_or_make(parser.parse_args(arguments[1:]).key_file, SIGNING_KEY_LENGTH)))
        return
    options = _options(arguments)
    print(f"Composer stand-in: https://{options.host}:{options.port}, state: {options.state_dir}", flush=True)
    asyncio.run(serve(servers(options)))


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="composer_standin", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9443)
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--web-url", default="https://composer.euconquisto.test", help="origin of the page")
    parser.add_argument(
        "--api-url", default="https://api.digitalpages.test", help="where the page finds the API"
    )
    parser.add_argument(
        "--signing-key-file", type=Path, help="default: STATE_DIR/signing-key, made if absent"
    )
    parser.add_argument(
        "--project-key-file", type=Path, help="default: STATE_DIR/project-key, made if absent"
    )
    parser.add_argument("--project-uid", default=PROJECT_UID)
    parser.add_argument("--connector-uid", default=CONNECTOR_UID)
    parser.add_argument("--control-socket", type=Path, help="default: STATE_DIR/control.sock")
    return parser.parse_args(arguments)


class Server(uvicorn.Server):
    """A server that leaves signals to us: there are two, and one signal stops both."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield


def servers(options: argparse.Namespace) -> list[Server]:
    """Return the servers: page and API, and the control switch."""
    state: Path = options.state_dir
    state.mkdir(parents=True, exist_ok=True)
    account = Account(
        signing_key=read_or_make(options.signing_key_file or state / "signing-key", SIGNING_KEY_LENGTH),
        project_key=read_or_make(options.project_key_file or state / "project-key", PROJECT_KEY_LENGTH),
        project_uid=options.project_uid,
        connector_uid=options.connector_uid,
    )
    store, faults = Store(state), Faults()
    socket: Path = options.control_socket or state / "control.sock"
    socket.unlink(missing_ok=True)
    # No access log: the addresses of this API contain tokens.
    common: dict[str, Any] = {"log_level": "warning", "access_log": False, "timeout_graceful_shutdown": 3}
    public = uvicorn.Config(
        application(account, store, faults, options.web_url, options.api_url),
        host=options.host,
        port=options.port,
        ssl_certfile=options.certificate,
        ssl_keyfile=options.key,
        **common,
    )
    return [Server(public), Server(uvicorn.Config(control(store, faults), uds=str(socket), **common))]


async def serve(both: list[Server]) -> None:
    """Run until told to stop."""

    def stop() -> None:
        for server in both:
            server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    await asyncio.gather(*(server.serve() for server in both))


if __name__ == "__main__":
    main(sys.argv[1:])
