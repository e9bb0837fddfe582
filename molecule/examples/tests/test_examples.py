"""A role can be used alone, from a repository that has nothing but the built collection."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.parents[1].name for path in CHECKOUT.glob("roles/*/meta/argument_specs.yml"))
APPLIED = yaml.safe_load((CHECKOUT / "molecule/examples/vars/applied.yml").read_text(encoding="utf-8"))[
    "examples_applied"
]
BUILD_SECONDS = 120
PLAY_SECONDS = 240
APPLY_SECONDS = 420
BARE, APPLY = ("--limit", "examples-12,examples-13"), ("--limit", "examples-applied")
#: What the examples bring along from the controller.
FILES = {
    "bao": ".cache/artifacts/bin/bao",
    "weed": ".cache/artifacts/bin/weed",
    "composer-mcp.tar": "dist/composer-mcp-latest.tar",
}
#: What the examples take from the environment.
SECRETS = {
    "SEAL_KEY": "c2VhbC1jYW5hcnktMDEyMzQ1Njc4OWFiY2RlZjAxMjM=",
    "PROVISIONER_PASSWORD": "canary-provisioner-password",
}
EXAMPLE = re.compile(r"## Example\n.*?```yaml\n(.*?)```", re.DOTALL)


class Repository:
    """A folder of somebody else's, with the collection from its tarball and no way back to this checkout."""

    def __init__(self, folder: Path, inventory: str) -> None:
        self.folder = folder
        self._inventory = inventory
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        kept.pop("PYTHONPATH", None)
        self._environment = kept | SECRETS | {"ANSIBLE_COLLECTIONS_PATH": str(folder / "collections")}
        self.run(BUILD_SECONDS, "ansible-galaxy", "collection", "build", str(CHECKOUT), "--output-path", ".")
        (tarball,) = folder.glob("*.tar.gz")
        self.run(BUILD_SECONDS, "ansible-galaxy", "collection", "install", tarball.name, "-p", "collections")
        (folder / "files").mkdir()
        for name, target in FILES.items():
            shutil.copy(CHECKOUT / target, folder / "files" / name)

    def run(self, seconds: float, *command: str) -> str:
        """Run a command here; fails with all that it said."""
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, timeout=seconds
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def play(self, role: str, *options: str, seconds: float = PLAY_SECONDS) -> str:
        """Run the example of a role as its README shows it."""
        readme = self.folder / f"collections/ansible_collections/euconquisto/composer/roles/{role}/README.md"
        found = EXAMPLE.search(readme.read_text(encoding="utf-8"))
        assert found, f"{readme} shows no example"
        (self.folder / f"{role}.yml").write_text(found[1], encoding="utf-8")
        return self.run(seconds, "ansible-playbook", "-i", self._inventory, f"{role}.yml", *options)


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Repository:
    inventory = str(Path(request.config.getoption("ansible_inventory")).resolve())
    return Repository(tmp_path_factory.mktemp("repository"), inventory)


@pytest.mark.parametrize("role", ROLES)
def test_the_example_of_a_role_runs_dry_on_hosts_that_nobody_has_provisioned(
    repository: Repository, role: str
) -> None:
    said = repository.play(role, *BARE, "--check", "--diff")
    # A play that did nothing would be green, too.
    assert re.findall(r"ok=\d+ +changed=[1-9]", said), said


@pytest.mark.timeout(APPLY_SECONDS + 30)
@pytest.mark.parametrize("role", APPLIED)
def test_the_example_of_a_host_role_does_what_it_says(repository: Repository, role: str) -> None:
    said = repository.play(role, *APPLY, seconds=APPLY_SECONDS)
    assert re.findall(r"ok=\d+ +changed=[1-9]", said), said


@pytest.mark.parametrize("role", APPLIED)
def test_beside_the_other_examples_nothing_is_left_to_do(repository: Repository, role: str) -> None:
    said = repository.play(role, *APPLY, "--check", "--diff")
    assert set(re.findall(r"ok=\d+ +changed=(\d+)", said)) == {"0"}, said
