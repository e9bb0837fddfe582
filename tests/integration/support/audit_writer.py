"""A process that records without end. A program: ``audit_writer CONFIG CREDENTIALS NAME``.

It prints the number of each entry that is durable, as soon as it knows.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from composer_mcp.audit.entry import Entry, now
from composer_mcp.audit.opening import opened
from composer_mcp.settings import Credentials, load


async def main() -> None:
    """Record until killed."""
    config, credentials, name = sys.argv[1:4]
    async with opened(load(Path(config)), Credentials(Path(credentials))) as audit:
        number = 0
        while True:
            entries = [Entry(now(), "school", name, "tool.x", str(number + more)) for more in range(3)]
            await asyncio.gather(*map(audit.trail.record, entries))
            number += len(entries)
            print(f"durable {number}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
