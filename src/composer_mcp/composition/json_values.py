"""JSON as it comes from outside: measured before anybody walks through it, shown in one short line."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from pydantic_core import PydanticCustomError

SHOWN_CHARACTERS = 80


class TooMuch(ValueError):
    """A value is deeper or has more parts than whoever reads it is ready for."""


def measure(value: Any, max_depth: int, max_parts: int) -> None:
    """Raise :class:`TooMuch` for a value that nests deeper than ``max_depth`` or has too many parts.

    Takes time in proportion to ``max_parts``, not to the value, and does not recurse.
    """
    level: list[Any] = [value]
    depth = parts = 0
    while level:
        if depth > max_depth:
            raise TooMuch(f"it is nested more than {max_depth} levels deep")
        below: list[Any] = []
        for item in level:
            if isinstance(item, (dict, list)):
                parts += len(item)
                if parts > max_parts:
                    raise TooMuch(f"it has more than {max_parts} values")
                below.extend(item.values() if isinstance(item, dict) else item)
        level = below
        depth += 1


def copied(value: Any) -> Any:
    """Return a copy that shares no list and no object with the original."""
    if isinstance(value, dict):
        return {name: copied(item) for name, item in value.items()}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value


#: PostgreSQL refuses U+0000 in JSON and in texts, and half of a surrogate pair is no UTF-8.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(value: Any) -> Any:
    """Return a copy that any database and any client takes: what they refuse becomes U+FFFD.

    For reading only. Written back to Composer, it would be a change that nobody made.
    """
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_UNSTORABLE.sub("\ufffd", name): storable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [storable(item) for item in value]
    return value


def in_utc(moment: datetime) -> datetime:
    """Return a moment in UTC, as every database can compare it; one without a time zone is in UTC already.

    Raises:
        PydanticCustomError: in UTC it would be before the year 1 or after 9999.
    """
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("moment_out_of_range", "must be between the years 1 and 9999") from None


def has_only_finite_numbers(value: Any) -> bool:
    """Whether JSON can write every number in a value: Python's own reader takes NaN and 1e999, too."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, float):
            if not math.isfinite(item):
                return False
        elif isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return True


def texts(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value, names of fields included, without recursion."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            waiting.extend(item.values())
            waiting.extend(item)
        elif isinstance(item, list):
            waiting.extend(item)


def written(value: Any) -> str:
    """Return a value as compact JSON that can be sent anywhere: unpaired surrogates stay escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(", ", ": "), default=str)
    return text.encode("utf-8", "backslashreplace").decode()


def short(value: Any, limit: int = SHOWN_CHARACTERS) -> str:
    """Return the beginning of a value as JSON, at most ``limit`` characters, however large it is."""
    text = written(_beginning(value, limit, 4))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _beginning(value: Any, limit: int, depth: int) -> Any:
    if isinstance(value, str):
        return value[: limit + 1]
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 1000:
        return "a number of more than 300 digits"
    if isinstance(value, (dict, list)):
        if depth == 0:
            return "…"
        if isinstance(value, dict):
            return {
                str(name)[: limit + 1]: _beginning(item, limit, depth - 1)
                for name, item in list(value.items())[:8]
            }
        return [_beginning(item, limit, depth - 1) for item in value[:8]]
    return value
