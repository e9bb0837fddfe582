"""Our worker process with the work of the tasks bench. A program: ``our_worker CONFIG CREDENTIALS``.

The job is reading or making a composition; what it does is said by the uid or the title,
``bench-LABEL-MILLISECONDS``. Claim, fence, heartbeat, deadline and result are those of any job; there is no
browser and no Composer.
"""

from __future__ import annotations

from benchmarks.peers.work import work
from composer_mcp.jobs.requests import (
    AnyRequest,
    AnyResult,
    CompositionRead,
    CompositionSaved,
    CreateComposition,
    GetComposition,
)
from composer_mcp.jobs.work import Work
from tests.integration.support import tame_worker


async def handle(request: AnyRequest, job: Work) -> AnyResult:
    """Do one job."""
    if isinstance(request, CreateComposition):
        _, label, milliseconds = request.lesson.title.split("-")
        await work(label, int(milliseconds))
        return CompositionSaved(
            uid=f"uid-{job.job_id}", url="https://composer.test/", title="bench", version="1",
            widgets=1, created=True,
        )  # fmt: skip
    if not isinstance(request, GetComposition):
        raise TypeError(f"the bench submits no {request.kind}")
    _, label, milliseconds = request.uid.split("-")
    lasted = await work(label, int(milliseconds))
    return CompositionRead(
        uid=request.uid, url="https://composer.test/", title="bench", version="1",
        document={"milliseconds": lasted},
    )  # fmt: skip


if __name__ == "__main__":
    tame_worker.main(handle)
