"""``python -m demo`` drives the server and shows what it made; ``python -m demo stdio`` is what it drives."""

from __future__ import annotations

import signal
import sys
from types import FrameType


def main(arguments: list[str]) -> int:
    """Run one of the two."""
    if arguments == ["stdio"]:
        return _stdio()
    if arguments:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        # Here and not above: it takes a second, in which somebody may change their mind.
        from demo import drive

        return drive.main()
    except KeyboardInterrupt:
        print("\ndemo: stopped; nothing is left running.", file=sys.stderr)
        return 130


def _stdio() -> int:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    from demo import place

    try:
        with place.standing() as stood:
            return place.serve(stood)
    except place.Problem as problem:
        print(f"demo: {problem}", file=sys.stderr)
        return 1


def _leave(_number: int, _frame: FrameType | None) -> None:
    """End as if the client had left, so that everything that was started is ended; once."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
