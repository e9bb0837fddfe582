"""A real worker that does any job at once: ``python -m tests.conformance.fuzz.worker CONFIG CREDENTIALS``.

What counts is that a call that is accepted comes to its end, with a result of the form its tool promises.
"""

from __future__ import annotations

from composer_mcp.jobs.requests import (
    KINDS,
    AnyRequest,
    AnyResult,
    CompositionRead,
    CompositionSaved,
    ConnectionReport,
    Preview,
    Template,
    Templates,
    Versions,
)
from composer_mcp.jobs.work import Work
from tests.integration.support import tame_worker

PICTURE = b"\x89PNG\r\n\x1a\n"


async def handle(request: AnyRequest, work: Work) -> AnyResult:
    """Do one job."""
    await work.fence()
    uid = getattr(request, "uid", None) or f"uid-{work.job_id}"
    where = {"uid": uid, "url": "https://composer.test/", "title": "Fuzz", "version": "1"}
    result = KINDS[request.kind].result
    if result is CompositionSaved:
        return CompositionSaved(**where, widgets=1, created=True)
    if result is CompositionRead:
        return CompositionRead(**where, document={"title": "Fuzz"})
    if result is Preview:
        return Preview(
            uid=uid, final_url="https://composer.test/", page_title="Fuzz", load_seconds=0.1,
            editor_ready=True, composition_loaded=True, console_errors=[], network_errors=[],
            picture_width=1, picture_height=1,
            picture=await work.artifacts.put(PICTURE, "image/png"),
        )  # fmt: skip
    if result is Versions:
        return Versions(uid=uid, versions=[])
    if result is Templates:
        return Templates(templates=[])
    if result is Template:
        return Template(template_id="lesson:fuzz", name="Fuzz", lesson={})
    return ConnectionReport(ok=True, steps=[])


if __name__ == "__main__":
    tame_worker.main(handle)
