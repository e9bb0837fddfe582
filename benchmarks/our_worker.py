"""Our worker process with the work of the tasks bench. A program: ``our_worker CONFIG CREDENTIALS``.

The job is reading a composition; what it does is said by the uid, ``bench-LABEL-MILLISECONDS``. Claim, fence,
heartbeat, deadline and result are those of any job; there is no browser and no Composer.
"""

from __future__ import annotations

from benchmarks.peers.work import work
from composer_mcp.jobs.requests import AnyRequest, AnyResult, CompositionRead, GetComposition
from composer_mcp.jobs.work import Work
from tests.integration.support import tame_worker


async def handle(request: AnyRequest, _work: Work) -> AnyResult:
    """Do one job."""
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
