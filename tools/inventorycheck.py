"""python -m tools.inventorycheck: every inventory lists its hosts, and every playbook can be read with it."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GROUPS = ("edge", "app", "core", "openbao", "postgresql", "object_store", "observer")
PLAYBOOKS = ("playbooks/site.yml", "playbooks/patch.yml")
LIMIT_SECONDS = 120


def ansible(*words: str) -> subprocess.CompletedProcess[str]:
    """Run an Ansible program in the project."""
    return subprocess.run(
        words,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def check(inventory: Path) -> list[str]:
    """What is wrong with one inventory."""
    name = str(inventory.relative_to(ROOT))
    listed = ansible("ansible-inventory", "-i", name, "--list")
    if listed.returncode != 0:
        return [f"{name}: cannot be read: {listed.stderr.strip()}"]
    groups = json.loads(listed.stdout)
    found = [f"{name}: the group {group} has no host" for group in GROUPS if not members(groups, group)]
    for playbook, option in itertools.product(PLAYBOOKS, ("--list-hosts", "--syntax-check")):
        done = ansible("ansible-playbook", "-i", name, playbook, option)
        if done.returncode != 0:
            found.append(f"{name}: ansible-playbook {playbook} {option} failed:\n{done.stdout}{done.stderr}")
        elif option == "--list-hosts":
            print(done.stdout.strip())
    return found


def members(groups: dict[str, dict[str, list[str]]], name: str) -> set[str]:
    """The hosts of a group, also through its children."""
    group = groups.get(name, {})
    below = (members(groups, child) for child in group.get("children", []))
    return set(group.get("hosts", [])).union(*below)


def main() -> int:
    """Check each folder under inventories/."""
    inventories = sorted(path for path in (ROOT / "inventories").glob("*") if path.is_dir())
    if not inventories:
        print("inventories/ has no inventory")
        return 1
    found = [complaint for inventory in inventories for complaint in check(inventory)]
    print("\n".join(found))
    print(f"{len(inventories)} inventories, {len(found)} complaints")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
