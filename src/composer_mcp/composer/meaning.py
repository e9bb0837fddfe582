"""What an answer of Composer means, or the lack of one: models of what it says, and our errors for the rest.

Nothing here makes a request. Texts of the HTTP library are never quoted: they may hold an address with the
token in it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError, ValidatorFunctionWrapHandler, field_validator

from composer_mcp.composer.answers import Answer
from composer_mcp.composer.breaker import Resting
from composer_mcp.errors import (
    COMPOSER_CHANGED,
    COMPOSER_REFUSED,
    COMPOSER_UNAVAILABLE,
    ComposerError,
)
from composer_mcp.observability.masking import redact

NOTHING_CHANGED = "Nothing was changed."
NOTHING_SAVED = "Nothing was saved."
#: What a caller is asked to wait when nothing better is known, in seconds.
RETRY_AFTER = 60


class WriteFailed(Exception):
    """One try of a write failed; ``uncertain`` says whether it may have been saved all the same."""

    def __init__(self, reason: str, *, uncertain: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.uncertain = uncertain


class Described(BaseModel):
    """What Composer says about a stored content; only what we use, and all of it optional but the uid."""

    model_config = ConfigDict(extra="ignore")

    content_uid: str
    #: Not seen in a captured answer; shown where Composer gives it.
    name: str | None = None
    content_size: int | None = None
    user_uid: str | None = None
    created_at: datetime | None = None
    last_modified: datetime | None = None

    @field_validator("name", mode="before")
    @classmethod
    def _if_text(cls, raw: Any) -> Any:
        return raw if isinstance(raw, str) else None

    @property
    def saved_at(self) -> datetime:
        """When it was last saved; the beginning of time if Composer does not say."""
        return aware(self.last_modified or self.created_at or datetime.min)


class Saved(BaseModel):
    """The answer to a save."""

    model_config = ConfigDict(extra="ignore")

    uid: str
    success: bool
    document: Described | None = None

    @field_validator("document", mode="wrap")
    @classmethod
    def _if_of_known_form(cls, raw: Any, read: ValidatorFunctionWrapHandler) -> Described | None:
        # The save itself is beyond doubt; what is said about it must not put it in doubt.
        try:
            found: Described | None = read(raw)
        except ValidationError:
            return None
        return found


def aware(moment: datetime) -> datetime:
    """Return a moment with its time zone; Composer's are in UTC where it does not say."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def is_passing(status: int) -> bool:
    """Whether a status speaks of a state of Composer that may pass, not of our request."""
    return status >= 500 or status in (408, 425, 429)


def unavailable(reason: str, tries: int, saved: str, retry_after: int = RETRY_AFTER) -> ComposerError:
    """Return the error for a Composer that does not answer properly; ``saved`` says what was saved."""
    return COMPOSER_UNAVAILABLE.error(reason=reason, tries=tries, saved=saved, retry_after=retry_after)


def left_alone(resting: Resting, saved: str, what: str = "it") -> ComposerError:
    """Return the error for a call that was not made, because Composer fails too often at present."""
    reason = f"{what} failed {resting.failures} times in a row, so it is left alone for now"
    return unavailable(reason, 0, saved, resting.seconds)


def reason_of(failure: Exception) -> str:
    """Return the kind of a failure below HTTP, in words of our own."""
    match failure:
        case httpx.ConnectTimeout():
            return "no connection in time"
        case httpx.ConnectError() if "CERTIFICATE" in str(failure).upper():
            return "its certificate is not trusted"
        case httpx.ConnectError():
            return "no connection"
        case httpx.TimeoutException() | TimeoutError():
            return "no answer in time"
        case _:
            return "the connection was lost"


def refusal(answer: Answer, call: str, saved_if_unknown: str) -> ComposerError:
    """Return the error for an answer that is neither success nor passing."""
    if answer.is_redirect:
        # Never followed: it could carry the token to another host.
        try:
            host = urlsplit(answer.location or "").hostname or "the same host"
        except ValueError:
            host = "an address that makes no sense"
        where = "".join(c for c in host[:100] if c.isprintable())
        return COMPOSER_CHANGED.error(
            what=f"{call} (status {answer.status}, sent on to {where})", saved=saved_if_unknown
        )
    text = "".join(c for c in redact(answer.text[:2000])[:200] if c.isprintable())
    return COMPOSER_REFUSED.error(status=answer.status, answer=text or "an empty answer")


def parsed(answer: Answer) -> Any:
    """Return the JSON of a read.

    Raises:
        composer_changed: it is none.
    """
    try:
        return json.loads(answer.content)
    except (ValueError, RecursionError):
        raise COMPOSER_CHANGED.error(what="a read (not JSON)", saved=NOTHING_CHANGED) from None


def described(answer: Any, what: str) -> list[Described]:
    """Read a list of descriptions; its outer form is not confirmed: a bare list, or one inside an object.

    Raises:
        composer_changed: it has another form.
    """
    if isinstance(answer, dict):
        lists = [value for value in answer.values() if isinstance(value, list)]
        answer = lists[0] if len(lists) == 1 else None
    if not isinstance(answer, list):
        raise COMPOSER_CHANGED.error(what=what, saved=NOTHING_CHANGED)
    try:
        return [Described.model_validate(entry) for entry in answer]
    except ValidationError:
        raise COMPOSER_CHANGED.error(what=what, saved=NOTHING_CHANGED) from None
