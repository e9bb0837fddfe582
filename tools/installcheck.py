"""python -m tools.installcheck: the collection works from another repository, from the tarball and from git.

An operator's repository is made in a scratch folder, with an inventory of its own and nothing of ours but the
installed collection; `ansible-playbook euconquisto.composer.site` must resolve there with every role.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT_SECONDS = 180
# Nothing of this repository may reach the installed copy.
NOT_SHIPPED = ("inventories", "collections", ".venv", ".cache", ".lab", "tests/site", "lab", "src")


class CheckError(Exception):
    """A step failed; the text says which and how."""


def run(words: Sequence[str], cwd: Path, path: str = "") -> str:
    """Run one step.

    Raises:
        CheckError: it failed.
    """
    print(f"$ {' '.join(words)}", flush=True)
    env = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    env["ANSIBLE_NOCOLOR"] = "1"
    if path:
        env["ANSIBLE_COLLECTIONS_PATH"] = path
    done = subprocess.run(
        words, cwd=cwd, env=env, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )
    print(done.stdout, done.stderr, sep="", flush=True)
    if done.returncode != 0:
        raise CheckError(f"{' '.join(words)} ended with {done.returncode}")
    return done.stdout


def operators_repository(scratch: Path) -> Path:
    """A repository as an operator would have it: an inventory, nothing else."""
    ops = scratch / "ops"
    shutil.copytree(ROOT / "inventories/prod", ops / "inventories/prod")
    return ops


def use(ops: Path, way: str) -> None:
    """The installed collection offers its playbook and ships nothing that is only ours."""
    home = ops / "collections/ansible_collections/euconquisto/composer"
    shipped = [name for name in NOT_SHIPPED if (home / name).exists()]
    if way == "tarball" and shipped:
        raise CheckError(f"the tarball carries {', '.join(shipped)}: add them to build_ignore in galaxy.yml")
    run(
        ["ansible-playbook", "euconquisto.composer.site", "-i", "inventories/prod", "--syntax-check"],
        ops,
        str(ops / "collections"),
    )
    shutil.rmtree(ops / "collections")


def check(scratch: Path) -> None:
    """Build, then install and use it both ways."""
    ops = operators_repository(scratch)
    run(["ansible-galaxy", "collection", "build", "--output-path", str(scratch / "dist"), "."], ROOT)
    tarball = next((scratch / "dist").glob("euconquisto-composer-*.tar.gz"))
    install = ["ansible-galaxy", "collection", "install", "-p", "collections", "--offline"]
    run([*install, str(tarball)], ops)
    use(ops, "tarball")
    requirements = ops / "requirements.yml"
    requirements.write_text(
        f"collections:\n  - {{name: 'git+file://{ROOT}', type: git, version: HEAD}}\n", encoding="utf-8"
    )
    run([*install, "-r", str(requirements)], ops)
    use(ops, "git")


def main() -> int:
    """Run the check in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="composer-install-") as name:
        try:
            check(Path(name))
        except CheckError as error:
            print(f"installcheck: {error}", file=sys.stderr)
            return 1
    print("installed and used from the tarball and from git")
    return 0


if __name__ == "__main__":
    sys.exit(main())
