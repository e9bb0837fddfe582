"""What the bundle promises: one name for one content, only locked files, installable without a network."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from tools import bundle

WHEEL = "demo-1.0-py3-none-any.whl"
OTHER = "fast-2.0-cp313-cp313-manylinux_2_17_x86_64.whl"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A project with one locked dependency, whose wheel is in the cache already."""
    (tmp_path / "src/composer_mcp").mkdir(parents=True)
    (tmp_path / "src/composer_mcp/__init__.py").write_text('"""Demo."""\n')
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "composer-mcp"\nversion = "1.2.3"\n')
    (tmp_path / "README.md").write_text("demo\n")
    (tmp_path / "LICENSE").write_text("demo\n")
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/server.txt").write_text(
        f"demo==1.0 \\\n    --hash=sha256:{digest(b'wheel')}\n    # via composer-mcp\n"
        f"only-windows==1 ; sys_platform == 'win32' \\\n    --hash=sha256:{digest(b'w')}\n"
    )
    (tmp_path / ".cache/wheels").mkdir(parents=True)
    (tmp_path / ".cache/wheels" / WHEEL).write_bytes(b"wheel")
    return tmp_path


@pytest.fixture
def own_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own wheel, without running its build."""

    def make(folder: Path, say: object) -> Path:
        wheel = folder / "composer_mcp-1.2.3-py3-none-any.whl"
        wheel.write_bytes(b"ours")
        return wheel

    monkeypatch.setattr(bundle, "build_own_wheel", make)


def quiet(message: str) -> None:
    """Say nothing."""


def test_the_name_tells_version_and_content(checkout: Path) -> None:
    assert bundle.release_id(checkout).startswith("composer-mcp-1.2.3-")
    assert bundle.release_id(checkout) == bundle.release_id(checkout)


@pytest.mark.parametrize("changed", ["src/composer_mcp/__init__.py", "requirements/server.txt", "README.md"])
def test_another_source_or_lock_is_another_release(checkout: Path, changed: str) -> None:
    before = bundle.release_id(checkout)
    with (checkout / changed).open("a") as file:
        file.write("# changed\n")
    assert bundle.release_id(checkout) != before


def test_what_python_leaves_behind_is_not_a_new_release(checkout: Path) -> None:
    before = bundle.release_id(checkout)
    (checkout / "src/composer_mcp/__pycache__").mkdir()
    (checkout / "src/composer_mcp/__pycache__/x.pyc").write_bytes(b"x")
    assert bundle.release_id(checkout) == before


@pytest.mark.usefixtures("own_wheel")
def test_every_file_is_listed_and_hashed(checkout: Path) -> None:
    path = bundle.build(checkout, quiet)
    stem = path.name.removesuffix(".tar")
    with tarfile.open(path) as tar:
        members = [(member, tar.extractfile(member)) for member in tar]
        files = {m.name.removeprefix(f"{stem}/"): file.read() for m, file in members if file}
        assert all(m.mtime == 0 and m.uid == 0 for m, _ in members)
    sums = dict(reversed(line.split("  ")) for line in files.pop("SHA256SUMS").decode().splitlines())
    assert sums == {name: digest(content) for name, content in files.items()}
    assert (
        f"composer-mcp==1.2.3 \\\n    --hash=sha256:{digest(b'ours')}" in files["requirements.txt"].decode()
    )
    assert "only-windows" not in files["requirements.txt"].decode()
    assert json.loads(files["manifest.json"])["release"] == stem


@pytest.mark.usefixtures("own_wheel")
def test_the_same_content_gives_the_same_bytes(checkout: Path) -> None:
    path = bundle.build(checkout, quiet)
    first = path.read_bytes()
    path.unlink()
    assert bundle.build(checkout, quiet).read_bytes() == first


def test_a_bundle_that_exists_is_not_built_again(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    existing = checkout / "dist" / f"{bundle.release_id(checkout)}.tar"
    existing.parent.mkdir()
    existing.write_bytes(b"as promoted")
    monkeypatch.setattr(bundle, "collect", lambda *_: pytest.fail("built again"))
    assert bundle.build(checkout, quiet).read_bytes() == b"as promoted"
    assert (checkout / "dist/composer-mcp-latest.tar").resolve() == existing


def test_a_tampered_wheel_in_the_cache_is_not_used(checkout: Path) -> None:
    (checkout / ".cache/wheels" / WHEEL).write_bytes(b"tampered")
    locked = bundle.read_lock((checkout / "requirements/server.txt").read_text())
    found, missing = bundle.find_wheels(locked[:1], checkout / ".cache/wheels", "3.11")
    assert not found and [entry.name for entry in missing] == ["demo"]


def test_a_wheel_for_another_python_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / OTHER).write_bytes(b"fast")
    locked = bundle.read_lock(f"fast==2.0 --hash=sha256:{digest(b'fast')}\n")
    assert bundle.find_wheels(locked, tmp_path, "3.13")[0]
    assert not bundle.find_wheels(locked, tmp_path, "3.11")[0]


@pytest.mark.parametrize("line", ["demo==1.0", "demo>=1.0 --hash=sha256:00"])
def test_an_unpinned_requirement_is_refused_with_the_remedy(line: str) -> None:
    with pytest.raises(bundle.BundleError, match="make lock"):
        bundle.read_lock(f"{line}\n")


@pytest.mark.usefixtures("own_wheel")
def test_a_failed_download_says_what_to_do_and_leaves_no_bundle(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / ".cache/wheels" / WHEEL).unlink()
    monkeypatch.setattr(bundle.sys, "executable", "/bin/false")
    with pytest.raises(bundle.BundleError, match="make bundle"):
        bundle.build(checkout, quiet)
    assert not list((checkout / "dist").glob("*.tar"))
