"""Copies, earlier versions, templates: each made once, whatever happens, and none of another tenant's."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from composer_mcp.composer import facts
from composer_mcp.composition.document import Document, version_of
from composer_mcp.composition.lesson import CompositionChange
from composer_mcp.errors import ComposerError
from composer_mcp.jobs import handlers
from composer_mcp.jobs.requests import (
    AnyRequest,
    ApplyTemplate,
    CompositionRead,
    DuplicateComposition,
    GetComposition,
    ListVersions,
    PreviewComposition,
    RestoreVersion,
    UpdateComposition,
    Versions,
)
from composer_mcp.jobs.work import Work

from .composer_calls import WIDGET, again, by, code_of, create, describe, save
from .composer_fixtures import Bench, Standin, next_attempt

pytestmark = pytest.mark.anyio


@pytest.fixture
def title() -> str:
    """A title that no other test uses."""
    return f"Aula {uuid4().hex[:8]}"


async def versions(work: Work, uid: str) -> Versions:
    found = await handlers.run(ListVersions(uid=uid), work)
    assert isinstance(found, Versions)
    return found


# --- copies ------------------------------------------------------------------------------------------


async def test_a_copy_has_the_same_content_under_new_ids(bench: Bench, standin: Standin, title: str) -> None:
    async with standin.api() as api:
        work = bench.without_browser(api)
        original = await create(work, title)
        copy = await save(DuplicateComposition(uid=original.uid, title=f"{title} (cópia)"), again(work))
        old, new = await api.read(original.uid), await api.read(copy.uid)
    assert copy.uid != original.uid and copy.title == new.title == f"{title} (cópia)"
    assert set(old.widget_ids).isdisjoint(new.widget_ids) and len(new.widget_ids) == 3
    assert stripped(old.to_json()) | {"metadata": {}} == stripped(new.to_json()) | {"metadata": {}}


def stripped(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: stripped(item) for name, item in value.items() if name != "id"}
    return [stripped(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("action", ["error", "drop"])
async def test_a_copy_is_made_once_whatever_fails(
    bench: Bench, standin: Standin, title: str, action: str
) -> None:
    async with standin.api() as api:
        work = bench.without_browser(api)
        original = await create(work, title)
        standin.provoke("create", action=action, times=1, after_saving=True)
        copying, wanted = again(work), DuplicateComposition(uid=original.uid, title=f"{title}!")
        copy = await save(wanted, copying)
        # The original changes, and another worker takes the job over.
        await describe(work, original.uid, "mudou")
        taken_over = await save(wanted, next_attempt(copying))
    assert taken_over == copy
    assert [each["uid"] for each in standin.compositions(f"{title}!")] == [copy.uid]


async def test_an_empty_composition_is_not_copied(bench: Bench, standin: Standin) -> None:
    empty = {"version": "1.1", "metadata": {"title": "Vazia"}, "interface": {}, "structure": []}
    uid = standin.keep(empty, facts.PART_TYPE)
    async with standin.api() as api:
        assert await code_of(DuplicateComposition(uid=uid), bench.without_browser(api)) == "nothing_to_copy"
    assert len(standin.compositions("Vazia")) >= 1


# --- earlier versions ----------------------------------------------------------------------------------


async def test_an_earlier_version_is_restored_as_a_new_one(
    bench: Bench, standin: Standin, title: str
) -> None:
    async with standin.api() as api:
        work = bench.without_browser(api)
        made = await create(work, title)
        changed = await describe(work, made.uid, "estragada", made.version)
        first = (await versions(work, made.uid)).versions[-1].version_uid
        request = RestoreVersion(uid=made.uid, version_uid=first, expected_version=changed.version)
        restoring = again(work)
        restored = await save(request, restoring)
        assert restored.version == made.version == version_of(await api.read(made.uid))
        assert await save(request, next_attempt(restoring)) == restored, "a repetition changes nothing"
        assert len((await versions(work, made.uid)).versions) == 3


async def test_restoring_what_is_there_already_saves_nothing(
    bench: Bench, standin: Standin, title: str
) -> None:
    async with standin.api() as api:
        work = bench.without_browser(api)
        made = await create(work, title)
        only = (await versions(work, made.uid)).versions[0].version_uid
        assert (
            await save(RestoreVersion(uid=made.uid, version_uid=only), again(work))
        ).version == made.version
        assert len((await versions(work, made.uid)).versions) == 1


async def test_only_versions_of_the_composition_itself_are_restored(
    bench: Bench, standin: Standin, title: str
) -> None:
    async with standin.api() as api:
        work = bench.without_browser(api)
        one, other = await create(work, title), await create(again(work), title)
        foreign = (await versions(work, other.uid)).versions[0].version_uid
        for version_uid in (foreign, other.uid, one.uid, "H4sIAAAAnothing"):
            request = RestoreVersion(uid=one.uid, version_uid=version_uid)
            assert await code_of(request, again(work)) == "version_not_found"
    assert standin.calls("update") == 0


async def test_a_version_is_not_restored_over_somebody_elses_edit(
    bench: Bench, standin: Standin, title: str
) -> None:
    async with standin.api() as api:
        work = bench.without_browser(api)
        made = await create(work, title)
        await describe(work, made.uid, "de outra pessoa")
        first = (await versions(work, made.uid)).versions[-1].version_uid
        request = RestoreVersion(uid=made.uid, version_uid=first, expected_version=made.version)
        assert await code_of(request, again(work)) == "version_conflict"
        assert (await api.read(made.uid)).description == "de outra pessoa"


async def test_the_versions_of_an_unknown_composition_are_unknown(bench: Bench, standin: Standin) -> None:
    async with standin.api() as api:
        work = bench.without_browser(api)
        assert await code_of(ListVersions(uid="H4sIAAAAnothing"), work) == "composition_not_found"
        request = RestoreVersion(uid="H4sIAAAAnothing", version_uid="H4sIAAAAnothing")
        assert await code_of(request, work) == "composition_not_found"


async def test_who_saved_at_the_very_same_moment_is_told(bench: Bench, standin: Standin, title: str) -> None:
    async with standin.api() as api:
        work = bench.without_browser(api)
        made = await create(work, title)
        other = again(work)

        async def in_between() -> None:
            # Asked when our save is about to be sent: what somebody saves in the editor now, we do not see.
            object.__setattr__(other, "fence", bench.fence)
            raw = (await api.read(made.uid)).to_json()
            raw["metadata"]["description"] = "de outra pessoa"
            await api.replace(made.uid, Document.from_json(raw), bench.fence)

        object.__setattr__(other, "fence", in_between)
        change = CompositionChange(title=f"{title}!")
        saved = await save(UpdateComposition(uid=made.uid, change=change), other)
        known = await versions(work, made.uid)
        (overwritten,) = saved.saved_by_others
        assert overwritten == known.versions[1].version_uid
        assert (await api.read(overwritten)).description == "de outra pessoa"


async def test_a_change_alone_is_not_taken_for_two(bench: Bench, standin: Standin, title: str) -> None:
    standin.provoke("update", action="drop", times=1, after_saving=True)
    async with standin.api() as api:
        work = bench.without_browser(api)
        made = await create(work, title)
        assert (await describe(work, made.uid, "uma vez")).saved_by_others == []
        standin.provoke("versions")
        assert (await describe(work, made.uid, "sem lista de versões")).saved_by_others == []


async def test_a_change_that_changes_nothing_saves_nothing(
    bench: Bench, standin: Standin, title: str
) -> None:
    async with standin.api() as api:
        work = bench.without_browser(api)
        made = await create(work, title)
        await describe(work, made.uid, "a")
        await describe(work, made.uid, "a")
    assert standin.compositions(title)[0]["versions"] == 2


# --- whose it is ---------------------------------------------------------------------------------------


def requests_for(uid: str) -> list[AnyRequest]:
    return [
        GetComposition(uid=uid),
        UpdateComposition(uid=uid, change=CompositionChange(title="x")),
        PreviewComposition(uid=uid),
        ListVersions(uid=uid),
        DuplicateComposition(uid=uid),
        RestoreVersion(uid=uid, version_uid=uid),
        ApplyTemplate(template_id="lesson:x", uid=uid),
    ]


async def test_another_tenants_composition_does_not_exist_and_composer_is_not_asked(
    bench: Bench, standin: Standin, title: str
) -> None:
    async with standin.api() as api:
        work = bench.without_browser(api)
        made = await create(work, title)
        told = set()
        before = standin.requests()
        for request in requests_for(made.uid):
            with pytest.raises(ComposerError) as raised:
                await handlers.run(request, by("another", work))
            told.add(json.dumps(raised.value.as_dict()))
        assert standin.requests() == before
        with pytest.raises(ComposerError) as raised:
            await handlers.run(GetComposition(uid="H4sIAAAAnothing"), by("another", work))
        assert told == {json.dumps(raised.value.as_dict())}, "word for word as one that there is not"


async def test_what_a_person_left_half_written_is_read_changed_and_found_all_the_same(
    bench: Bench, standin: Standin, title: str
) -> None:
    odd = {"title": f"{title} \ud83d\0", "description": "x" * 100_000, "tags": ["\udc00", 7, "ok"] * 100}
    document = {
        "version": "1.1",
        "metadata": odd,
        "interface": {},
        "structure": [WIDGET | {"extra": "\ud83d"}],
    }
    uid = standin.keep(document, facts.PART_TYPE)
    async with standin.api() as api:
        work = bench.without_browser(api)
        read = await handlers.run(GetComposition(uid=uid), work)
        assert isinstance(read, CompositionRead)
        kept = CompositionRead.model_validate(json.loads(read.as_json()))
        assert kept == read and kept.title.startswith(title)
        change = CompositionChange.model_validate({"author": None, "tags": ["ok"]})
        await save(UpdateComposition(uid=uid, change=change), again(work))
        assert (await api.read(uid)).to_json()["structure"] == document["structure"]
    (entry,) = await bench.compositions.search(work.tenant, text=title, tag="ok")
    assert entry.title == f"{title} \ufffd\ufffd" and len(entry.description) == 2000


async def test_whoever_writes_first_owns_what_was_nobodys(bench: Bench, standin: Standin, title: str) -> None:
    document = {"version": "1.1", "metadata": {"title": title}, "interface": {}, "structure": [WIDGET]}
    uid = standin.keep(document, facts.PART_TYPE)
    async with standin.api() as api:
        work = bench.without_browser(api)
        for tenant in ("one", "two"):
            await handlers.run(GetComposition(uid=uid), by(tenant, work))
        assert await bench.compositions.owner(uid) is None, "reading is not owning"
        await describe(by("two", work), uid, "é nossa")
        assert await bench.compositions.owner(uid) == "two"
        assert await code_of(GetComposition(uid=uid), by("one", work)) == "composition_not_found"


async def test_only_one_of_two_tenants_gets_as_far_as_writing(
    bench: Bench, standin: Standin, title: str
) -> None:
    document = {"version": "1.1", "metadata": {"title": title}, "interface": {}, "structure": [WIDGET]}
    uid = standin.keep(document, facts.PART_TYPE)
    async with standin.api() as api:
        work = bench.without_browser(api)
        slow = by("slow", work)

        async def taken(fraction: float, message: str) -> None:
            # After slow was let in, and before it writes.
            if "saving the change" in message:
                await describe(by("quick", work), uid, "primeiro")

        object.__setattr__(slow, "progress", taken)
        request = UpdateComposition(uid=uid, change=CompositionChange(title="x"))
        assert await code_of(request, slow) == "composition_not_found"
        assert (await api.read(uid)).title == title
    assert standin.calls("update") == 1


async def test_what_nobody_owns_can_be_refused_altogether(bench: Bench, standin: Standin, title: str) -> None:
    document = {"version": "1.1", "metadata": {"title": title}, "interface": {}, "structure": [WIDGET]}
    uid = standin.keep(document, facts.PART_TYPE)
    async with standin.api() as api:
        strict = replace(bench.without_browser(api), unowned="refuse")
        before = standin.requests()
        assert await code_of(GetComposition(uid=uid), strict) == "composition_not_found"
        assert standin.requests() == before
        made = await create(again(strict), title)
        assert (await describe(strict, made.uid, "nossa")).uid == made.uid


async def test_what_was_saved_is_found_by_title_author_and_tag(
    bench: Bench, standin: Standin, title: str
) -> None:
    async with standin.api() as api:
        work = bench.without_browser(api)
        made = await create(work, title)
        copy = await save(DuplicateComposition(uid=made.uid, title=f"{title} cópia"), again(work))
        await describe(work, made.uid, "sobre células")
    found = await bench.compositions.search(work.tenant, text="ana lima", tag="x")
    assert [entry.uid for entry in found] == [made.uid, copy.uid]
    (one,) = await bench.compositions.search(work.tenant, text="CELULAS")
    assert (one.title, one.author, one.tags) == (title, "Ana Lima", ("x",))
    assert await bench.compositions.search("another", text="ana lima") == []
