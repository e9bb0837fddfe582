"""Artifacts keep the same promises in a folder and in S3."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable
from datetime import timedelta

import pytest

from composer_mcp.errors import ComposerError
from composer_mcp.store import artifacts, objects

from .support.places import Place

pytestmark = pytest.mark.anyio
PICTURE = bytes(range(256)) * 1000


def code(failure: pytest.ExceptionInfo[ComposerError]) -> str:
    return failure.value.code.code


async def test_a_key_is_the_content_and_equal_content_is_there_once(place: Place) -> None:
    store = place.open()
    keys = {await store.put(PICTURE, "image/png") for _ in range(3)}
    digest = hashlib.sha256(PICTURE).hexdigest()
    assert keys == {f"{digest[:2]}/{digest}.png"} == set(place.paths())
    # Another process finds it too.
    assert await place.open().get(keys.pop()) == PICTURE


@pytest.mark.parametrize("data", [b"", b"x", b"\0" * 100_000])
async def test_any_bytes_come_back_as_they_were(place: Place, data: bytes) -> None:
    store = place.open()
    key = await store.put(data, "text/html; charset=x/../../y")
    assert key.endswith(".bin") and await store.get(key) == data


async def test_many_puts_of_the_same_at_once_make_one(place: Place) -> None:
    stores = [place.open() for _ in range(4)]
    keys = await asyncio.gather(*(stores[n % 4].put(PICTURE, "image/png") for n in range(24)))
    assert len(set(keys)) == 1 and place.paths() == [keys[0]]
    assert await stores[0].get(keys[0]) == PICTURE


async def test_many_puts_of_different_things_at_once_are_all_kept(place: Place) -> None:
    store = place.open()
    keys = await asyncio.gather(*(store.put(b"%d" % number, "image/png") for number in range(40)))
    assert [await store.get(key) for key in keys] == [b"%d" % number for number in range(40)]


NOTHING = "00/" + "0" * 64


@pytest.mark.parametrize(
    "key",
    ["", "/", "..", "../secret", "/etc/passwd", "templates/all/review.pt_BR.json", f"{NOTHING}.png",
     f"{NOTHING}.PNG", f"{NOTHING}.png/../../../x", "00%2f" + "0" * 64 + ".png", "\0", "é" * 9,
     f"{NOTHING}.png\n", "x" * 100_000],
    ids=range(14),
)  # fmt: skip
async def test_what_is_no_artifact_is_unknown_and_nothing_else_is_read(place: Place, key: str) -> None:
    store = place.open()
    await store.put(b"there is one", "image/png")
    place.raw.put("templates/all/review.pt_BR.json", b"{}")
    with pytest.raises(ComposerError) as unknown:
        await store.get(key)
    assert code(unknown) == "artifact_unknown" and len(unknown.value.sentence) < 200


async def test_too_much_is_refused_and_nothing_is_kept(place: Place) -> None:
    with pytest.raises(ComposerError) as refusal:
        await place.open().put(b"x" * (artifacts.MAX_BYTES + 1), "image/png")
    assert code(refusal) == "artifact_too_large" and place.paths() == []


async def test_what_somebody_changed_there_is_not_passed_on(place: Place) -> None:
    store = place.open()
    key = await store.put(PICTURE, "image/png")
    for other in (b"forged", b"x" * (artifacts.MAX_BYTES + 1)):
        place.raw.put(key, other, mode="overwrite")
        with pytest.raises(ComposerError) as refusal:
            await store.get(key)
        assert code(refusal) == "store_unavailable"
    # Whoever makes it again mends it.
    await store.put(PICTURE, "image/png")
    assert await store.get(key) == PICTURE


async def test_a_store_that_is_away_is_told_in_time_and_used_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "LIMIT_SECONDS", 6.0)
    store = place.open()
    key = await store.put(PICTURE, "image/png")
    with place.away():
        asked: list[Awaitable[object]] = [store.put(b"other", "image/png"), store.get(key)]
        if place.name == "s3":
            # A folder that is gone has nothing to forget.
            asked.append(store.forget(timedelta(days=1)))
        for each in asked:
            began = time.monotonic()
            with pytest.raises(ComposerError) as failure:
                await each
            assert code(failure) in {"store_unavailable", "artifact_unknown"}
            assert time.monotonic() - began < 15
    assert await store.get(key) == PICTURE
    assert await store.get(await store.put(b"other", "image/png")) == b"other"


async def test_only_old_artifacts_are_forgotten(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "SLACK", timedelta(seconds=1))
    monkeypatch.setattr(artifacts, "NEW", timedelta(seconds=1))
    retention = timedelta(seconds=3)
    store = place.open()
    old, again = [await store.put(data, "image/png") for data in (b"old", b"made again later")]
    others = {"templates/all/review.pt_BR.json", "somebody/elses"}
    for path in others:
        place.raw.put(path, b"{}")
    assert await store.forget(retention) == 0
    await asyncio.sleep(4.5)
    # A job of now names it, so it has to outlive that job.
    await store.put(b"made again later", "image/png")
    assert await store.forget(retention) == 1
    assert set(place.paths()) == {again, *others}
    with pytest.raises(ComposerError) as unknown:
        await store.get(old)
    assert code(unknown) == "artifact_unknown"
