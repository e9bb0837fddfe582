"""A composition as the editor shows it: logged in as the tenant's last page was, or anew."""

from __future__ import annotations

from composer_mcp.composer import editor
from composer_mcp.composer.looks import Look, NotAccepted
from composer_mcp.composition.document import Document
from composer_mcp.errors import ComposerError
from composer_mcp.jobs.handlers import ownership
from composer_mcp.jobs.requests import Preview, PreviewComposition
from composer_mcp.jobs.work import Work
from composer_mcp.observability import metrics

#: A preview changes nothing, so it is simply done again when its browser or its connection dies.
PREVIEW_TRIES = 2


async def preview(request: PreviewComposition, work: Work) -> Preview:
    """Open the composition in the editor and keep a picture of it, when one is wanted."""
    await ownership.check(request.uid, work)
    await work.progress(0.1, "Reading the composition")
    document = await work.composer.read(request.uid)
    for remaining in reversed(range(PREVIEW_TRIES)):
        try:
            look = await _look(request, document, work)
            break
        except ComposerError as error:
            if not remaining or not editor.may_pass(error):
                raise
            await work.progress(0.2, "The browser or its connection failed; trying again")
    picture, taken = None, look.picture
    if taken is not None:
        await work.progress(0.9, "Keeping the picture")
        picture = await work.artifacts.put(taken.data, "image/png")
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
        picture_width=taken.width if taken else 0,
        picture_height=taken.height if taken else 0,
        picture_complete=taken is not None and taken.height >= look.page_height,
    )


async def _look(request: PreviewComposition, document: Document, work: Work) -> Look:
    uid, extent = request.uid, request.picture
    await work.progress(0.3, "Waiting for a browser")
    login = await work.logins.find(work.tenant) if work.logins is not None else None
    async with editor.opened(work.browsers, work.composer, work.findings) as opened:
        if login is not None and work.logins is not None:
            await work.progress(0.5, "Opening the composition in the editor")
            try:
                await opened.restore(login)
                look = await opened.look_at(uid, document, extent, restored=work.logins)
            except NotAccepted:
                metrics.BROWSER_LOGINS.labels("refused").inc()
                await work.logins.forget(work.tenant)
                await opened.start_over()
            else:
                metrics.BROWSER_LOGINS.labels("restored").inc()
                return look
        await work.progress(0.4, "Logging in to Composer")
        await opened.log_in()
        metrics.BROWSER_LOGINS.labels("anew").inc()
        if work.logins is not None:
            await work.logins.keep(work.tenant, await opened.login())
        await work.progress(0.6, "Opening the composition in the editor")
        return await opened.look_at(uid, document, extent)
