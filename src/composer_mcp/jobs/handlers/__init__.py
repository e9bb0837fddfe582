"""What each kind of job does, told as a story with progress that a teacher understands."""

from __future__ import annotations

from composer_mcp.composer import writes
from composer_mcp.composer.edits import Change, Restoration
from composer_mcp.composer.meaning import NOTHING_CHANGED
from composer_mcp.composition.compose import compose
from composer_mcp.composition.copies import duplicated
from composer_mcp.composition.document import version_of
from composer_mcp.errors import (
    COMPOSER_CHANGED,
    COMPOSITION_NOT_FOUND,
    VERSION_NOT_FOUND,
    ComposerError,
)
from composer_mcp.jobs.handlers import connection, ownership, previewing, templates, witness
from composer_mcp.jobs.handlers.saving import change, create, saved, url
from composer_mcp.jobs.requests import (
    AnyRequest,
    AnyResult,
    ApplyTemplate,
    CheckConnection,
    CompositionRead,
    CompositionSaved,
    CreateComposition,
    DuplicateComposition,
    GetComposition,
    GetTemplate,
    ListTemplates,
    ListVersions,
    PreviewComposition,
    RestoreVersion,
    UpdateComposition,
    Version,
    Versions,
)
from composer_mcp.jobs.work import Work


async def run(request: AnyRequest, work: Work) -> AnyResult:
    """Do one job.

    Raises:
        ComposerError: a failure with a code that the caller can act on.
    """
    async with witness.evidence_kept(work):
        return await _run(request, work)


async def _run(request: AnyRequest, work: Work) -> AnyResult:
    match request:
        case CreateComposition():
            return await _create(request, work)
        case GetComposition():
            return await _get(request, work)
        case UpdateComposition():
            return await _update(request, work)
        case PreviewComposition():
            return await previewing.preview(request, work)
        case ListVersions():
            return await _versions(request, work)
        case DuplicateComposition():
            return await _duplicate(request, work)
        case RestoreVersion():
            return await _restore(request, work)
        case ListTemplates():
            return await templates.listed(request, work)
        case GetTemplate():
            return await templates.read(request, work)
        case ApplyTemplate():
            return await templates.apply(request, work)
        case CheckConnection():
            return await connection.check(request, work)


async def _create(request: CreateComposition, work: Work) -> CompositionSaved:
    await work.progress(0.1, "Preparing the lesson")
    seed = writes.seed_of(work.tenant, work.idempotency_key)
    document = compose(request.lesson, seed, work.composer.settings.media_url)
    return await create(document, seed, work)


async def _duplicate(request: DuplicateComposition, work: Work) -> CompositionSaved:
    await ownership.check(request.uid, work)
    seed = writes.seed_of(work.tenant, work.idempotency_key)
    if work.attempt > 1:
        # The original may have changed since; the copy that was made then is the one that counts.
        await work.progress(0.2, "Looking whether it was copied before")
        uid = await writes.Traces(work.composer, seed, work.first_started_at).find()
        if uid is not None:
            return await _found(uid, work)
    await work.progress(0.2, "Reading the original")
    original = await work.composer.read(request.uid)
    return await create(duplicated(original, seed, request.title), seed, work, looked=True)


async def _found(uid: str, work: Work) -> CompositionSaved:
    document = await work.composer.read(uid)
    await ownership.note(uid, document, work)
    await work.progress(1.0, "The composition is saved")
    return saved(uid, document, work, created=True)


async def _get(request: GetComposition, work: Work) -> CompositionRead:
    own = await ownership.check(request.uid, work)
    await work.progress(0.2, "Reading the composition")
    document = await work.composer.read(request.uid)
    if own:
        await ownership.note(request.uid, document, work)
    await work.progress(1.0, "The composition is read")
    return CompositionRead(
        uid=request.uid,
        url=url(request.uid, work),
        title=document.title,
        version=version_of(document),
        document=document.shown(),
        detail=request.detail,
    )


async def _update(request: UpdateComposition, work: Work) -> CompositionSaved:
    seed = writes.seed_of(work.tenant, work.idempotency_key)
    edit = Change(request.change, seed, work.composer.settings.media_url)
    return await change(request.uid, edit, work, request.expected_version)


async def _restore(request: RestoreVersion, work: Work) -> CompositionSaved:
    await ownership.check(request.uid, work)
    await work.progress(0.1, "Reading the earlier version")
    known = await work.composer.versions(request.uid)
    wanted = next((entry for entry in known if entry.content_uid == request.version_uid), None)
    if wanted is None:
        raise VERSION_NOT_FOUND.error(version_uid=request.version_uid)
    try:
        version = await work.composer.read(request.version_uid)
    except ComposerError as error:
        if error.code is not COMPOSITION_NOT_FOUND:
            raise
        raise VERSION_NOT_FOUND.error(version_uid=request.version_uid) from None
    if wanted is not known[0] and wanted.content_uid == request.uid:
        # Read by this uid, Composer gives the newest content: nobody would notice that nothing is restored.
        raise COMPOSER_CHANGED.error(
            what="the list of versions (an earlier one has the uid of the composition itself)",
            saved=NOTHING_CHANGED,
        )
    return await change(request.uid, Restoration(version), work, request.expected_version)


async def _versions(request: ListVersions, work: Work) -> Versions:
    await ownership.check(request.uid, work)
    await work.progress(0.2, "Asking Composer for the versions")
    found = await work.composer.versions(request.uid)
    await work.progress(1.0, "The versions are listed")
    return Versions(
        uid=request.uid,
        versions=[
            Version(
                version_uid=entry.content_uid,
                created_at=entry.last_modified or entry.created_at,
                user_uid=entry.user_uid,
                size=entry.content_size,
            )
            for entry in found
        ],
    )
