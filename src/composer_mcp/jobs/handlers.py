"""What each kind of job does, told as a story with progress that a teacher understands."""

from __future__ import annotations

from composer_mcp.composer import editor, facts, writes
from composer_mcp.composition.document import Document, compose, version_of
from composer_mcp.errors import ComposerError
from composer_mcp.jobs.requests import (
    AnyRequest,
    AnyResult,
    CompositionRead,
    CompositionSaved,
    CreateComposition,
    GetComposition,
    ListVersions,
    Preview,
    PreviewComposition,
    UpdateComposition,
    Version,
    Versions,
)
from composer_mcp.jobs.work import Work
from composer_mcp.observability.logs import redact

#: A preview changes nothing, so it is simply done again when its browser or its connection dies.
PREVIEW_TRIES = 2


async def run(request: AnyRequest, work: Work) -> AnyResult:
    """Do one job.

    Raises:
        ComposerError: a failure with a code that the caller can act on.
    """
    match request:
        case CreateComposition():
            return await _create(request, work)
        case GetComposition():
            return await _get(request, work)
        case UpdateComposition():
            return await _update(request, work)
        case PreviewComposition():
            return await _preview(request, work)
        case ListVersions():
            return await _versions(request, work)


async def _create(request: CreateComposition, work: Work) -> CompositionSaved:
    await work.progress(0.1, "Preparing the lesson")
    seed = writes.seed_of(work.tenant, work.idempotency_key)
    document = compose(request.lesson, seed, work.composer.settings.media_url)
    retried = work.attempt > 1
    await work.progress(0.3, "Looking whether it was saved before" if retried else "Saving it in Composer")
    uid = await writes.create_once(
        work.composer,
        document,
        seed,
        earlier_attempt=retried,
        since=work.first_started_at,
        fence=work.fence,
    )
    await work.progress(1.0, "The composition is saved")
    return _saved(uid, document, work, created=True)


async def _get(request: GetComposition, work: Work) -> CompositionRead:
    await work.progress(0.2, "Reading the composition")
    document = await work.composer.read(request.uid)
    await work.progress(1.0, "The composition is read")
    return CompositionRead(
        uid=request.uid,
        url=_url(request.uid, work),
        title=document.title,
        version=version_of(document),
        document=document.to_json(),
    )


async def _update(request: UpdateComposition, work: Work) -> CompositionSaved:
    await work.progress(0.2, "Reading the composition and saving the change")
    document = await writes.update_once(
        work.composer,
        request.uid,
        request.change,
        writes.seed_of(work.tenant, work.idempotency_key),
        expected_version=request.expected_version,
        earlier_attempt=work.attempt > 1,
        fence=work.fence,
    )
    await work.progress(1.0, "The change is saved")
    return _saved(request.uid, document, work, created=False)


async def _preview(request: PreviewComposition, work: Work) -> Preview:
    await work.progress(0.1, "Reading the composition")
    document = await work.composer.read(request.uid)
    for remaining in reversed(range(PREVIEW_TRIES)):
        try:
            look = await _look(request.uid, document, work)
            break
        except ComposerError as error:
            if not remaining or not editor.may_pass(error):
                raise
            await work.progress(0.2, "The browser or its connection failed; trying again")
    await work.progress(0.9, "Keeping the picture")
    picture = await work.artifacts.put(look.picture, "image/png")
    await work.progress(1.0, "The preview is ready")
    return Preview(
        uid=request.uid,
        final_url=look.final_url,
        page_title=look.page_title,
        load_seconds=look.load_seconds,
        editor_ready=look.editor_ready,
        composition_loaded=look.composition_loaded,
        console_errors=look.console_errors,
        network_errors=look.network_errors,
        picture=picture,
        picture_width=look.width,
        picture_height=look.height,
    )


async def _look(uid: str, document: Document, work: Work) -> editor.Look:
    composer = work.composer
    await work.progress(0.3, "Waiting for a browser")
    async with work.browsers.lease(editor.hosts(composer.settings)) as lease:
        opened = editor.Editor(lease, composer.settings, composer.token, redact)
        await work.progress(0.4, "Logging in to Composer")
        await opened.log_in()
        await work.progress(0.6, "Opening the composition in the editor")
        return await opened.look_at(uid, document)


async def _versions(request: ListVersions, work: Work) -> Versions:
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


def _url(uid: str, work: Work) -> str:
    return facts.editor_address(work.composer.settings.app_url, uid)


def _saved(uid: str, document: Document, work: Work, *, created: bool) -> CompositionSaved:
    return CompositionSaved(
        uid=uid,
        url=_url(uid, work),
        title=document.title,
        version=version_of(document),
        widgets=len(document.structure),
        created=created,
    )
