"""One command makes the platform, and the same command again changes nothing."""

import json
import re
import struct
import zlib

import pytest

PNG = b"\x89PNG\r\n\x1a\n"


def colours(picture: bytes) -> int:
    """How many different pixel values lie in the picture's raw lines: a blank page has a handful."""
    assert picture.startswith(PNG)
    data, position = b"", len(PNG)
    while position < len(picture):
        length, kind = struct.unpack("!I4s", picture[position : position + 8])
        if kind == b"IDAT":
            data += picture[position + 8 : position + 8 + length]
        position += 12 + length
    return len({line[1:] for line in _lines(zlib.decompress(data), picture)})


def _lines(raw: bytes, picture: bytes) -> list[bytes]:
    width, _, depth, kind = struct.unpack("!IIBB", picture[16:26])
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    step = 1 + (width * channels * depth + 7) // 8
    return [raw[start : start + step] for start in range(0, len(raw), step)]


def changes(output: str) -> str:
    """The tasks of a play that changed something, with their diffs."""
    tasks = re.split(r"^(?=(?:TASK|RUNNING HANDLER) \[)", output, flags=re.MULTILINE)
    return "\n".join(task[:2000] for task in tasks if re.search(r"^changed: ", task, re.MULTILINE))


def test_the_preview_of_the_first_composition_shows_something(site, standing):
    picture = (site.lab.out / "preview.png").read_bytes()
    width, height = struct.unpack("!II", picture[16:24])
    assert width >= 600 and height >= 400
    assert colours(picture) > 20, "the picture's lines are nearly all alike: a blank page"


def test_a_dry_run_on_bare_hosts_tells_what_would_be_done_and_does_nothing(site, standing):
    if standing.dry is None:
        pytest.skip("the lab stood already")
    dry = standing.dry
    assert dry.code == 0, dry.said[-4000:]
    assert {host: files for host, files in dry.left.items() if files} == {}
    # Files are shown as they would be, and how many things would change is counted.
    assert "+[Journal]" in dry.said and "+PermitRootLogin prohibit-password" in dry.said
    recap = dict(re.findall(r"^(\S+) +: ok=\d+ +changed=(\d+)", dry.said, re.MULTILINE))
    assert set(recap) == {host.name for host in site.hosts}
    assert all(int(count) >= 10 for count in recap.values())


def test_the_summary_tells_what_an_operator_wants_to_know(standing):
    for wanted in (
        "Front door",
        "make lab-token",
        "preview.png",
        "Metrics",
        "Seconds",
        "make lab-ssh",
        "make lab-down",
    ):
        assert wanted in standing.said


def test_a_second_run_changes_nothing_and_makes_no_second_composition(site, standing, record_property):
    first = json.loads((site.lab.out / "timings.json").read_text())
    again = site.command("up", ANSIBLE_DIFF_ALWAYS="1")
    assert again.returncode == 0, again.stdout[-3000:]
    second = json.loads((site.lab.out / "timings.json").read_text())
    assert set(second["changed"]) == {"edge1", "app1", "app2", "core1"}
    assert not any(second["changed"].values()), changes((site.lab.out / "site.log").read_text())
    assert "changed=0" in again.stdout
    for name, run in (("first", first), ("second", second)):
        record_property(
            "summary", f"lab up, {name} run: {sum(run['seconds'].values()):.0f} s {run['seconds']}"
        )


def test_the_lab_can_be_looked_at(site):
    status = site.command("status")
    assert status.returncode == 0
    for name in ("edge1", "app1", "app2", "core1"):
        assert name in status.stdout
