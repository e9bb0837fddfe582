from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ansible_collections.euconquisto.composer.plugins.module_utils.write_faults import explain, mount_point


def test_a_full_disk_is_told_with_the_place_and_what_to_free(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match="No space left") as caught,
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"x")
    said = explain(str(tmp_path / "not/yet/there.conf"), caught.value)
    assert said.startswith(
        f"{tmp_path}/not/yet/there.conf cannot be written: the file system on {mount_point(str(tmp_path))} "
    )
    assert "is full (" in said and " left)" in said
    assert "apt-get clean" in said and said.endswith("then run this again.")


@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.EDQUOT, "is full ("), (errno.EROFS, "is read-only. "), (errno.EPERM, "lsattr -d /etc/x.conf")],
)
def test_each_reason_has_its_remedy(number: int, expected: str) -> None:
    assert expected in explain("/etc/x.conf", OSError(number, os.strerror(number)))


def test_a_path_belongs_to_the_nearest_mount_above_it() -> None:
    assert mount_point("/proc/no/such/path") == "/proc"
    assert mount_point("/no-such-folder/x") == "/"
