"""Whatever is done to a trail by somebody who owns the database but not the key, verification finds it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from composer_mcp.audit.chain import Keys, Mark, sealed
from composer_mcp.audit.entry import now
from composer_mcp.audit.trail import chained

from .audit_stand import KEYS, Standing, entry, postgres_stand, sqlite_stand, standing
from .conftest import new_platform
from .support.authority import Authority
from .support.issuer import Issuer
from .support.postgres import Postgres

ENTRIES = 12
#: Of the table ``audit``, in their order.
COLUMNS = ("number", "at", "tenant", "actor", "action", "outcome", "line", "key", "hash")
MARKS = ("name", "number", "hash", "key", "seal")
Rows = list[list[Any]]

common = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module", params=["postgres", "sqlite"])
def tried(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    postgres: Postgres,
    issuer: Issuer,
    authority: Authority,
) -> Iterator[Standing]:
    folder: Path = tmp_path_factory.mktemp("tampering")
    if request.param == "sqlite":
        with standing(sqlite_stand(folder)) as kept:
            kept.run(lambda: kept.stand.record(ENTRIES))
            yield kept
        return
    with (
        new_platform(folder, postgres, issuer, authority) as platform,
        standing(postgres_stand(platform)) as kept,
    ):
        kept.run(lambda: kept.stand.record(ENTRIES))
        yield kept


def problems(tried: Standing, change: Any) -> list[int]:
    """Return the places that are found when ``change`` was made to the rows of both tables."""
    stand = tried.stand

    async def found() -> list[int]:
        entries, marks = [await stand.rows(table) for table in ("audit", "audit_mark")]
        changed: tuple[Rows, Rows] = ([list(row) for row in entries], [list(row) for row in marks])
        change(*changed)
        assume(changed != ([list(row) for row in entries], [list(row) for row in marks]))
        try:
            await stand.lay("audit", changed[0])
            await stand.lay("audit_mark", changed[1])
            return [problem.number for problem in (await stand.verify()).problems]
        finally:
            await stand.lay("audit", entries)
            await stand.lay("audit_mark", marks)

    places: list[int] = tried.run(found)
    assert tried.run(stand.verify).ok, "put back as it was, it is a good one"
    return places


places = st.integers(0, ENTRIES - 1)


def another(value: Any, draw: st.DataObject) -> Any:
    """Return something else of the same kind."""
    if isinstance(value, bytes):
        if not value:
            return draw.draw(st.binary(min_size=1, max_size=40))
        place, bit = draw.draw(st.integers(0, len(value) - 1)), draw.draw(st.integers(0, 7))
        return value[:place] + bytes([value[place] ^ (1 << bit)]) + value[place + 1 :]
    if isinstance(value, int):
        return draw.draw(st.integers(-5, 2 * ENTRIES) if value < 1000 else st.integers(0, 10**15))
    if isinstance(value, str):
        texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
        if draw.draw(st.booleans()) and value:
            place = draw.draw(st.integers(0, len(value) - 1))
            return value[:place] + draw.draw(texts) + value[place + 1 :]
        return draw.draw(texts)
    return draw.draw(st.datetimes(timezones=st.just(now().tzinfo)))


@common
@given(place=places, column=st.integers(0, len(COLUMNS) - 1), draw=st.data())
def test_a_changed_value_is_found(tried: Standing, place: int, column: int, draw: st.DataObject) -> None:
    def change(entries: Rows, _marks: Rows) -> None:
        entries[place][column] = another(entries[place][column], draw)
        assume(len({row[0] for row in entries}) == len(entries))

    found = problems(tried, change)
    assert found
    if COLUMNS[column] not in {"number", "hash"}:
        assert found == [place + 1], "and told with its place"


@common
@given(first=places, count=st.integers(1, ENTRIES), renumbered=st.booleans(), head=st.booleans())
def test_removed_entries_are_found(
    tried: Standing, first: int, count: int, renumbered: bool, head: bool
) -> None:
    """In the middle and at the end; also when the gap is closed, and the head names what is left."""

    def change(entries: Rows, marks: Rows) -> None:
        gone = len(entries[first : first + count])
        del entries[first : first + count]
        if renumbered:
            for row in entries[first:]:
                row[0] -= gone
        if head:
            last = entries[-1] if entries else [0, *[None] * 7, bytes(32)]
            next(mark for mark in marks if mark[0] == "head")[1:3] = last[0], last[8]

    found = problems(tried, change)
    assert found
    if not renumbered and not head:
        assert found == [first + 1]


@common
@given(place=st.integers(0, ENTRIES), source=places, shifted=st.booleans(), text=st.text("abc", max_size=5))
def test_an_inserted_entry_is_found(
    tried: Standing, place: int, source: int, shifted: bool, text: str
) -> None:
    """A copy of another or one made up, between two or at the end, also where the others make room."""

    def change(entries: Rows, _marks: Rows) -> None:
        made = list(entries[source])
        made[0] = place + 1 if shifted else ENTRIES + 1
        made[6] = made[6].replace("maria", f"maria{text}")
        made[3] = made[3].replace("maria", f"maria{text}")
        if shifted:
            for row in entries[place:]:
                row[0] += 1
            entries.insert(place, made)
        else:
            entries.append(made)

    assert problems(tried, change)


@common
@given(order=st.permutations(range(ENTRIES)))
def test_another_order_is_found(tried: Standing, order: list[int]) -> None:
    def change(entries: Rows, _marks: Rows) -> None:
        entries[:] = [[number, *entries[place][1:]] for number, place in enumerate(order, start=1)]

    assert problems(tried, change)


@common
@given(mark=st.sampled_from([0, 1]), column=st.integers(1, len(MARKS) - 1), draw=st.data())
def test_a_moved_beginning_or_end_is_found(
    tried: Standing, mark: int, column: int, draw: st.DataObject
) -> None:
    def change(_entries: Rows, marks: Rows) -> None:
        marks[mark][column] = another(marks[mark][column], draw)

    assert problems(tried, change)


@common
@given(removed=st.sets(st.sampled_from([0, 1]), min_size=1), cut=st.integers(0, ENTRIES))
def test_a_missing_mark_is_found(tried: Standing, removed: set[int], cut: int) -> None:
    def change(entries: Rows, marks: Rows) -> None:
        del entries[cut:]
        marks[:] = [mark for number, mark in enumerate(marks) if number not in removed]

    assert problems(tried, change)


@common
@given(place=places, secret=st.text("abcdef", min_size=32, max_size=40), named=st.booleans())
def test_a_chain_made_with_another_key_is_found(
    tried: Standing, place: int, secret: str, named: bool
) -> None:
    """Whoever knows how it is done, but not the key, makes everything anew from one entry on."""
    theirs = Keys([secret]).current
    name = KEYS.current.name if named else theirs.name

    def change(entries: Rows, marks: Rows) -> None:
        before = Mark(place, entries[place - 1][8] if place else bytes(32))
        made = chained(theirs, before, [row[6].replace("maria", "mario") for row in entries[place:]])
        for row, line, hash_ in zip(entries[place:], made.lines, made.hashes, strict=True):
            row[3], row[6:] = row[3].replace("maria", "mario"), [line, name, hash_]
        end = sealed(theirs, "head", made.head.number, made.head.hash)
        next(mark for mark in marks if mark[0] == "head")[1:] = [end.number, end.hash, name, end.seal]

    found = problems(tried, change)
    assert found and found[0] in {ENTRIES, place + 1}


@common
@given(
    texts=st.lists(st.text(st.characters(codec=None), max_size=60), min_size=7, max_size=7),
    details=st.dictionaries(
        st.text(max_size=10),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=8,
        ),
        max_size=4,
    ),
)
def test_whatever_a_caller_says_is_kept_and_verifies(
    tried: Standing, texts: list[str], details: dict[str, Any]
) -> None:
    stand = tried.stand
    names = ("tenant", "actor", "action", "target", "outcome", "source", "correlation_id")
    said = entry(details=details, **dict(zip(names, texts, strict=True)))

    async def record() -> None:
        before = [await stand.rows(table) for table in ("audit", "audit_mark")]
        async with stand.trail() as trail:
            await trail.record(said)
        assert (await stand.verify()).ok
        for table, rows in zip(("audit", "audit_mark"), before, strict=True):
            await stand.lay(table, rows)

    tried.run(record)
