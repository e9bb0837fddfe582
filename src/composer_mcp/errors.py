"""Every error the server can report, declared once: code, HTTP status, sentence, remedy.

Tools, HTTP answers, logs, metrics and ``docs/errors.md`` all read this table. Nothing else lives here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One kind of failure.

    ``sentence`` and ``remedy`` are format strings; their placeholders are filled by :meth:`error`.
    ``retryable`` says whether repeating the same call, unchanged, can succeed.
    """

    code: str
    status: int
    sentence: str
    remedy: str
    retryable: bool = False

    registry: ClassVar[dict[str, ErrorCode]] = {}

    def __post_init__(self) -> None:
        if self.code in self.registry:
            raise ValueError(f"error code {self.code} is declared twice")
        self.registry[self.code] = self

    def error(self, **details: Any) -> ComposerError:
        """Return an exception to raise; ``details`` fill the placeholders and travel with the error."""
        return ComposerError(self, details)


class _Unknown(str):
    """Stands for a detail that nobody gave, whatever format is asked of it."""

    def __format__(self, _specification: str) -> str:
        return str(self)


class _Details(dict[str, Any]):
    """The details of an error; a missing one is named, because an error must never fail while it is told."""

    def __missing__(self, key: str) -> _Unknown:
        return _Unknown(f"({key} unknown)")


class ComposerError(Exception):
    """A failure with a code from the table, safe to show to the caller."""

    def __init__(self, code: ErrorCode, details: dict[str, Any] | None = None) -> None:
        self.code = code
        self.details = details or {}
        super().__init__(self.sentence)

    @property
    def sentence(self) -> str:
        """What happened, with the details filled in."""
        return self.code.sentence.format_map(_Details(self.details))

    @property
    def remedy(self) -> str:
        """What the caller can do about it."""
        return self.code.remedy.format_map(_Details(self.details))

    def as_dict(self) -> dict[str, Any]:
        """The form that is stored with a failed job and sent to the caller (JSON-compatible)."""
        return {
            "code": self.code.code,
            "message": self.sentence,
            "remedy": self.remedy,
            "retryable": self.code.retryable,
            "details": self.details,
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> ComposerError:
        """Rebuild an error that a worker stored; an unknown code becomes ``internal``."""
        code = ErrorCode.registry.get(stored.get("code", ""), INTERNAL)
        return cls(code, dict(stored.get("details") or {}))


INTERNAL = ErrorCode(
    "internal",
    status=500,
    sentence="The server failed in an unexpected way.",
    remedy="Repeat the call with the same idempotency key. If it fails again, give the operator the job id.",
    retryable=True,
)

# --- lessons and documents -----------------------------------------------------------------------

WIDGET_NOT_FOUND = ErrorCode(
    "widget_not_found",
    status=422,
    sentence="The composition has no widget with the id {widget_id}. Nothing was changed.",
    remedy="Read the composition with get_composition and use an `id` from its `structure`.",
)

NO_HEADING = ErrorCode(
    "no_heading",
    status=422,
    sentence="The composition has no heading, so an author's name has no place. Nothing was changed.",
    remedy="Add a heading with `author_name` through `widgets` instead of giving `author`.",
)

# --- Composer, the third-party application ---------------------------------------------------------

COMPOSER_UNAVAILABLE = ErrorCode(
    "composer_unavailable",
    status=503,
    sentence="Composer did not answer properly ({reason}; tries: {tries}). {saved}",
    remedy="Wait a minute and repeat the call with the same idempotency key: "
    "it never makes a second composition.",
    retryable=True,
)

COMPOSER_REJECTED_TOKEN = ErrorCode(
    "composer_rejected_token",
    status=502,
    sentence="Composer did not accept this server's own access token. Nothing was saved.",
    remedy="Tell the operator to renew the Composer token in the secret store; your input is fine.",
)

COMPOSER_REFUSED = ErrorCode(
    "composer_refused",
    status=502,
    sentence="Composer refused the request with status {status}: {answer}. Nothing was saved.",
    remedy="Simplify the content and try again; if that fails too, give the operator the job id.",
)

COMPOSER_CHANGED = ErrorCode(
    "composer_changed",
    status=502,
    sentence="Composer answered {what} in a form that this server does not know. {saved}",
    remedy="Give the operator the job id: Composer was probably updated and this server must follow.",
)

COMPOSITION_NOT_FOUND = ErrorCode(
    "composition_not_found",
    status=404,
    sentence="Composer has no composition with this uid in this project.",
    remedy="Use the complete `uid` that create_composition returned: about 505 characters, never shortened.",
)

VERSION_CONFLICT = ErrorCode(
    "version_conflict",
    status=409,
    sentence="The composition was changed by somebody else: its version is {current}, not {expected}. "
    "Nothing was changed.",
    remedy="Read it again with get_composition, repeat your change on what you read, pass the new version.",
)

# --- the browser -----------------------------------------------------------------------------------

BROWSER_UNAVAILABLE = ErrorCode(
    "browser_unavailable",
    status=503,
    sentence="Chromium could not be used: {reason}.",
    remedy="Repeat the call. If it fails again, tell the operator to look at the worker's journal.",
    retryable=True,
)

EDITOR_NOT_READY = ErrorCode(
    "editor_not_ready",
    status=504,
    sentence="Composer's editor did not become ready within {seconds:g} s (page title: {page_title}).",
    remedy="Repeat the call. The composition is untouched; get_composition reads it without the editor.",
    retryable=True,
)

INVALID_ARGUMENTS = ErrorCode(
    "invalid_arguments",
    status=422,
    sentence="The arguments break {count} rule(s): {problems}",
    remedy="Mend what is listed (each with its path in the arguments) and call again. Nothing was saved.",
)
MISSING_SCOPE = ErrorCode(
    "insufficient_scope",
    status=403,
    sentence="The tool {tool} needs the scope {scope}, which the token does not have.",
    remedy="Get a token with the scope {scope}.",
)
KEY_REUSED = ErrorCode(
    "idempotency_key_reused",
    status=409,
    sentence="The idempotency key was used before for a different call ({kind}, job {job_id}).",
    remedy="Use a new key for a new call. To repeat the earlier one, repeat its arguments exactly.",
)
QUEUE_FULL = ErrorCode(
    "queue_full",
    status=429,
    sentence="{waiting} jobs {whose} are already waiting; the limit is {limit}. Nothing was accepted.",
    remedy="Wait {retry_after} s and repeat the call with the same idempotency key.",
    retryable=True,
)
JOB_UNKNOWN = ErrorCode(
    "job_unknown",
    status=404,
    sentence="There is no job {job_id} of yours; finished jobs are forgotten after {days} days.",
    remedy="Check the id.",
)
JOB_PENDING = ErrorCode(
    "job_pending",
    status=202,
    sentence="The job {job_id} was accepted and goes on, but is not done after {seconds} s.",
    remedy="Ask get_job for it later, or repeat the call with the same idempotency key to wait again.",
    retryable=True,
)
JOB_LOST = ErrorCode(
    "job_lost",
    status=409,
    sentence="Another worker has taken the job over.",
    remedy="Nothing to do: the other worker finishes it.",
    retryable=True,
)
JOB_POISONED = ErrorCode(
    "job_poisoned",
    status=500,
    sentence="{attempts} workers died while they did this job, so it was given up.",
    remedy="Look at get_composition before you repeat the call: an attempt may have saved it. "
    "Give the operator the job id.",
)
DEADLINE_EXCEEDED = ErrorCode(
    "deadline_exceeded",
    status=504,
    sentence="The job waited {seconds} s without being started, longer than allowed. Nothing was saved.",
    remedy="Repeat the call with the same idempotency key.",
    retryable=True,
)
JOB_TIMEOUT = ErrorCode(
    "job_timeout",
    status=504,
    sentence="The job was stopped after {seconds} s. Something may have been saved.",
    remedy="Repeat the call with the same idempotency key: it continues from what was saved.",
    retryable=True,
)
STORE_UNAVAILABLE = ErrorCode(
    "store_unavailable",
    status=503,
    sentence="The server's own {store} does not answer as it should. {state}",
    remedy="Repeat the call with the same idempotency key in a few seconds.",
    retryable=True,
)
ARTIFACT_UNKNOWN = ErrorCode(
    "artifact_unknown",
    status=404,
    sentence="There is no artifact {key}.",
    remedy="Repeat the call that made it.",
)
METHOD_NOT_ALLOWED = ErrorCode(
    "method_not_allowed",
    status=405,
    sentence="This address answers POST only: every call is a request of its own, without a session.",
    remedy="Send each message with POST.",
)
BODY_TOO_LARGE = ErrorCode(
    "body_too_large",
    status=413,
    sentence="The request is larger than {limit} bytes. Nothing was done.",
    remedy="Send a smaller one: make two compositions of a long lesson, or change it in several calls.",
)
INVALID_TOKEN = ErrorCode(
    "invalid_token",
    status=401,
    sentence="The token is not accepted: {reason}.",
    remedy="Get a new token from an issuer named in the resource metadata.",
)
KEYS_UNAVAILABLE = ErrorCode(
    "issuer_unavailable",
    status=503,
    sentence="The keys of the token's issuer cannot be fetched, so the token cannot be checked.",
    remedy="Repeat the call in a few seconds.",
    retryable=True,
)


def table() -> str:
    """Return the whole table as Markdown, for ``docs/errors.md``."""
    lines = ["| code | HTTP | what happened | what to do | repeat as is |", "|---|---|---|---|---|"]
    for name, code in sorted(ErrorCode.registry.items()):
        repeat = "yes" if code.retryable else "no"
        lines.append(f"| `{name}` | {code.status} | {code.sentence} | {code.remedy} | {repeat} |")
    return "\n".join(lines)


if __name__ == "__main__":
    # Run as a program this file is a second module; the table that everybody fills is the imported one.
    from composer_mcp import errors

    print(errors.table())
