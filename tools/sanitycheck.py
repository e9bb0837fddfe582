"""python -m tools.sanitycheck: `ansible-test sanity` on the built collection, as a distributor would run it.

The artifact is tested and not the checkout: that is what people install, and the checkout holds a link which
ansible-test forbids.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD_LIMIT_SECONDS = 180
SANITY_LIMIT_SECONDS = 840
PIP_CACHE = Path.home() / ".ansible/test/cache"
# ansible-test fetches this program from a host of its own to put pip into its environments. Python carries
# pip, so the stub unpacks that one and hands the command on; the names are those of ansible-core 2.19 and of
# 2.20 and 2.21.
PIP_STUBS = ("get_pip_24_2.py", "get_pip_25_2.py")
PIP_STUB = '''"""Stands in for the pip installer: unpacks the pip that Python carries, then runs it."""
import ensurepip
import os
import subprocess
import sys

ensurepip.bootstrap()
os.environ.pop("GET_PIP", None)
bundle = "/etc/ssl/certs/ca-certificates.crt"
trust = ["--cert", bundle] if os.path.exists(bundle) else []
words = [word for word in sys.argv[1:] if not word.startswith("--no-")]
raise SystemExit(subprocess.call([sys.executable, "-m", "pip", "install", "-q", *trust, *words]))
'''


def seed_pip() -> None:
    """Put the stub where ansible-test looks before it fetches; a real one stays."""
    PIP_CACHE.mkdir(parents=True, exist_ok=True)
    for name in PIP_STUBS:
        stub = PIP_CACHE / name
        if not stub.exists():
            stub.write_text(PIP_STUB, encoding="utf-8")


def environment() -> dict[str, str]:
    """A short PATH: interpreters of version managers in it are taken for usable and are not."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    env["PATH"] = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    return env


def main() -> int:
    """Build, install into a scratch tree, test."""
    seed_pip()
    with tempfile.TemporaryDirectory(prefix="composer-sanity-") as name:
        scratch = Path(name)
        build = ["ansible-galaxy", "collection", "build", "--output-path", str(scratch / "dist"), "."]
        subprocess.run(build, cwd=ROOT, env=environment(), check=True, timeout=BUILD_LIMIT_SECONDS)
        tarball = next((scratch / "dist").glob("*.tar.gz"))
        install = [
            "ansible-galaxy",
            "collection",
            "install",
            str(tarball),
            "-p",
            name,
            "--no-deps",
            "--force",
        ]
        subprocess.run(install, cwd=scratch, env=environment(), check=True, timeout=BUILD_LIMIT_SECONDS)
        return subprocess.run(
            ["ansible-test", "sanity", "--venv", "--python", "default", "--color", "no"],
            cwd=scratch / "ansible_collections/euconquisto/composer",
            env=environment(),
            check=False,
            timeout=SANITY_LIMIT_SECONDS,
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
