"""A real SeaweedFS with S3 over TLS and one bucket."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
from pathlib import Path

from .authority import Authority
from .processes import Process, free_port, run
from .programs import program

BUCKET = "composer-artifacts"
ACCESS_KEY, SECRET_KEY = "access-key-of-the-test", "secret-key-of-the-test"


class Seaweed:
    """One process in a temporary folder."""

    def __init__(self, authority: Authority) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="composer-test-seaweed-"))
        certificate, key = authority.issue("seaweed")
        identity = {
            "name": "composer",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": [f"Read:{BUCKET}", f"Write:{BUCKET}", f"List:{BUCKET}"],
        }
        (self._folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        names = ("master", "volume", "filer", "s3")
        ports = {name: free_port() for each in names for name in (f"{each}.port", f"{each}.port.grpc")}
        port = free_port()
        self.endpoint = f"https://localhost:{port}"
        self._process = Process([
            program("weed"), "server", f"-dir={self._folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            "-master.telemetry=false", "-master.volumeSizeLimitMB=64",
            *(f"-{name}={number}" for name, number in ports.items()),
            "-filer", "-s3", f"-s3.port.https={port}", f"-s3.cert.file={certificate}", f"-s3.key.file={key}",
            "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={self._folder}/s3.json",
        ])  # fmt: skip
        self._process.wait_for("Start Seaweed S3 API", 60)
        master = f"127.0.0.1:{ports['master.port']}.{ports['master.port.grpc']}"
        filer = f"127.0.0.1:{ports['filer.port']}.{ports['filer.port.grpc']}"
        shell = [program("weed"), "shell", f"-master={master}", f"-filer={filer}"]
        run(shell, say=f"s3.bucket.create -name {BUCKET}\nexit\n")

    def freeze(self) -> None:
        """Accept connections from now on, and say nothing."""
        self._process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        self._process.signal(signal.SIGCONT)

    def close(self) -> None:
        self._process.kill()
        shutil.rmtree(self._folder)
