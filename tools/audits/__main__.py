"""python -m tools.audits: boot, provision, let the auditors judge, write docs/audits.

Ends with status 1 when a finding has no reason or a value is beyond its limit; pages are written all the
same.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from lab.problem import Problem
from tools.audits import checks, devsec, lynis, openscap, sshaudit, units
from tools.audits.machines import Machine, provisioned
from tools.audits.pages import Page, index

Audit = Callable[[Sequence[Machine]], Page]
# The look at what the roles wrote comes before the auditors, which bring packages of their own.
AUDITS: Mapping[str, Audit] = {
    "checks": checks.audit,
    "units": units.audit,
    "ssh-audit": sshaudit.audit,
    "dev-sec": devsec.audit,
    "lynis": lynis.audit,
    "openscap": openscap.audit,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the audits named, or all."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.audits", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "audits", nargs="*", metavar="AUDIT", help=f"some of {', '.join(AUDITS)}; left out: all"
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave the hosts running; the next run uses them again"
    )
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.audits) - set(AUDITS))
    if unknown:
        parser.error(f"there is no audit called {', '.join(unknown)}; there are: {', '.join(AUDITS)}")
    start = time.monotonic()

    def say(text: str) -> None:
        print(f"audits: {time.monotonic() - start:6.1f} s  {text}", flush=True)

    pages = []
    try:
        with provisioned(say, chosen.keep) as machines:
            for name, audit in AUDITS.items():
                if chosen.audits and name not in chosen.audits:
                    continue
                say(f"{name} …")
                page = audit(machines)
                page.write()
                index([page])
                pages.append(page)
                say(f"{name}: {page.result}; {len(page.unexplained)} open")
    except Problem as problem:
        print("audits: " + str(problem).replace("\n", "\n        "), file=sys.stderr)
        return 1
    unexplained = [(page.name, point) for page in pages for point in page.unexplained]
    for name, point in unexplained:
        print(f"audits: open: {name}: {point}")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
