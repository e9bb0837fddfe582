"""Writing for a job: a composition made or changed exactly once, noted as the tenant's, and reported."""

from __future__ import annotations

import uuid

from composer_mcp.composer import facts, writes
from composer_mcp.composer.edits import Edit
from composer_mcp.composition.document import Document, version_of
from composer_mcp.jobs.handlers import ownership
from composer_mcp.jobs.requests import CompositionSaved
from composer_mcp.jobs.work import Work


async def create(
    document: Document, seed: uuid.UUID, work: Work, *, looked: bool = False
) -> CompositionSaved:
    """Store a new composition, unless an earlier attempt has; ``looked`` says that this was found out.

    Raises:
        composer_unavailable and the other errors of ``create_once``.
    """
    looking = work.attempt > 1 and not looked
    await work.progress(0.3, "Looking whether it was saved before" if looking else "Saving it in Composer")
    uid = await writes.create_once(
        work.composer,
        document,
        seed,
        earlier_attempt=looking,
        since=work.first_started_at,
        fence=work.fence,
    )
    await ownership.note(uid, document, work)
    await work.progress(1.0, "The composition is saved")
    return saved(uid, document, work, created=True)


async def change(uid: str, edit: Edit, work: Work, expected_version: str | None) -> CompositionSaved:
    """Change a composition, unless an earlier attempt has.

    Raises:
        composition_not_found: there is none, or it is another tenant's.
        composition_busy, version_conflict and the other errors of ``update_once``.
    """
    own = await ownership.check(uid, work)
    await work.progress(0.2, "Reading the composition and saving the change")

    async def claim(base: Document) -> None:
        # Two tenants who write to nobody's composition at once: only one of them gets as far as writing.
        await ownership.claim(uid, base, work)

    async with work.compositions.exclusively(uid, work.job_id, work.owner):
        updated = await writes.update_once(
            work.composer,
            uid,
            edit,
            expected_version=expected_version,
            earlier_attempt=work.attempt > 1,
            fence=work.fence,
            before_writing=None if own else claim,
        )
    await ownership.note(uid, updated.document, work)
    await work.progress(1.0, "The change is saved")
    result = saved(uid, updated.document, work, created=False)
    return result.model_copy(update={"saved_by_others": list(updated.others)})


def saved(uid: str, document: Document, work: Work, *, created: bool) -> CompositionSaved:
    """Return the report of a write."""
    return CompositionSaved(
        uid=uid,
        url=url(uid, work),
        title=document.title,
        version=version_of(document),
        widgets=len(document.structure),
        created=created,
    )


def url(uid: str, work: Work) -> str:
    """Return where a person opens a composition."""
    return facts.editor_address(work.composer.settings.app_url, uid)
