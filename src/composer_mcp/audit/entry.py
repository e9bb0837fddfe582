"""One entry of the audit trail, and the one text in which it is kept, hashed and shown."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from composer_mcp.observability import logs
from composer_mcp.observability.masking import beginning

#: Characters of the details; what an attacker may choose must not fill the disk.
DETAILS_LIMIT = 4000
CORRELATION_LIMIT = 128
#: Characters of the longest of the other fields.
FIELD_LIMIT = 400
#: Characters that the log tells of an entry that cannot be kept.
TOLD_LIMIT = 2 * DETAILS_LIMIT
NO_DETAILS: Mapping[str, Any] = MappingProxyType({})

# What is no number in JSON is none in the database either.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=str).encode


class Clean(dict[str, Any]):
    """Details from which secrets were taken already, and which are small."""


class Entry(NamedTuple):
    """Who did what to what, when, from where, and how it ended.

    ``actor`` is a token's issuer and subject, or ``cli:user@host``, or ``worker:host``. ``action`` is a word
    of the part that acts, such as ``tool.create_composition``, ``account.disable`` or ``token.refused``.
    ``outcome`` is ``ok``, ``begun``, ``accepted`` or the code of an error. ``source`` is the client's
    address.

    A tuple and not a dataclass: each call makes one, and this costs a fifth.
    """

    at: datetime
    tenant: str
    actor: str
    action: str
    target: str = ""
    outcome: str = "ok"
    source: str = ""
    correlation_id: str = ""
    details: Mapping[str, Any] = NO_DETAILS


def now() -> datetime:
    """Return the time of an entry that is made now."""
    return datetime.now(UTC)


def reduced(entry: Entry, error: Exception) -> Entry:
    """Return what is kept in place of an entry that cannot be: who, what and when, but no details.

    Its texts are in letters that every store takes, the others escaped as Python does it; what is no text is
    left out.
    """
    at = entry.at if isinstance(entry.at, datetime) and entry.at.tzinfo is UTC else now()
    return Entry(
        at,
        _escaped(entry.tenant),
        _escaped(entry.actor),
        _escaped(entry.action),
        _escaped(entry.target),
        _escaped(entry.outcome),
        _escaped(entry.source),
        _escaped(entry.correlation_id),
        Clean(not_kept=f"details ({type(error).__name__})"),
    )


def told(entry: Entry) -> str:
    """Return an entry as the log can tell it, whatever is in it and whatever is wrong with it."""
    try:
        return ascii(entry._replace(details=logs.redaction(None, "", dict(entry.details))))[:TOLD_LIMIT]
    except Exception as error:
        return f"({type(error).__name__} when it was to be told)"


def _escaped(text: Any) -> str:
    if not isinstance(text, str):
        return ""
    # What is secret in it is found as long as it looks like itself.
    return beginning(text, FIELD_LIMIT).encode("unicode_escape").decode("ascii")


def line(entry: Entry) -> str:
    """Return the entry as one line of JSON, without secrets and within bounds.

    It holds nothing that PostgreSQL would not take. What is parsed from it and given to :func:`encoded` is
    the same line again.
    """
    # By hand, because most of the parts come again and again.
    text = (
        f'{{"at":"{entry.at.isoformat(timespec="microseconds")}","tenant":{_kept(entry.tenant, 200)},'
        f'"actor":{_kept(entry.actor, FIELD_LIMIT)},"action":{_kept(entry.action, 120)},'
        f'"target":{_kept(entry.target, 200)},"outcome":{_kept(entry.outcome, 80)},'
        f'"source":{_kept(entry.source, 64)},'
        f'"correlation_id":{_as_it_is(entry.correlation_id)}'
    )
    if entry.details:
        text += f',"details":{_details(entry.details)}'
    # Half a character, as editors in JavaScript leave one in a text, is in no database's alphabet.
    return text + "}" if text.isascii() else text.encode("utf-8", "replace").decode() + "}"


@functools.lru_cache(maxsize=8192)
def _kept(text: str, limit: int) -> str:
    return _encode(_without_zero(beginning(text, limit)))


def _as_it_is(identity: str) -> str:
    """Return an id that was judged where it came in, and is new in each entry."""
    if identity.isascii() and identity.isalnum() and len(identity) <= CORRELATION_LIMIT:
        return f'"{identity}"'
    return _encode(_without_zero(identity[:CORRELATION_LIMIT]))


def _details(details: Mapping[str, Any]) -> str:
    if type(details) is not Clean:
        details = logs.redaction(None, "", dict(details))
    try:
        encoded = _encode(details)
    except ValueError:
        return _encode({"left_out": "numbers that JSON does not have"})
    if len(encoded) > DETAILS_LIMIT:
        return _encode({"left_out": f"{len(encoded)} characters"})
    return _encode(_without_zero(json.loads(encoded))) if "\\u0000" in encoded else encoded


def _without_zero(value: Any) -> Any:
    """Replace the character that PostgreSQL does not keep."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd") if "\0" in value else value
    if isinstance(value, dict):
        return {_without_zero(key): _without_zero(item) for key, item in value.items()}
    return [_without_zero(item) for item in value] if isinstance(value, list) else value


def encoded(content: Mapping[str, Any]) -> str:
    """Return what was parsed from a line as the line that it was."""
    return _encode(content)
