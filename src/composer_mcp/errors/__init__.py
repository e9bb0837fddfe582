"""Every error the server can report, declared once: code, HTTP status, sentence, remedy.

Tools, HTTP answers, logs, metrics and ``docs/errors.md`` all read this table. ``kinds`` has what an error is;
the errors themselves in a module for each theme. Nothing else lives here.
"""

from __future__ import annotations

from composer_mcp.errors.access import (
    ACCOUNT_DISABLED,
    ACCOUNT_EXISTS,
    ACCOUNT_NEEDED,
    ACCOUNT_TENANT,
    ACCOUNT_UNKNOWN,
    ADDRESS_UNKNOWN,
    BODY_INCOMPLETE,
    BODY_TOO_LARGE,
    INVALID_REQUEST,
    INVALID_TOKEN,
    ISSUER_UNKNOWN,
    KEYS_UNAVAILABLE,
    LAST_ADMINISTRATOR,
    METHOD_NOT_ALLOWED,
    MISSING_SCOPE,
    ROLE_MISSING,
    TOO_MANY,
)
from composer_mcp.errors.audit import (
    AUDIT_BROKEN,
    AUDIT_ENTRY_UNKNOWN,
    AUDIT_UNAVAILABLE,
)
from composer_mcp.errors.calls import (
    CONFIRMATION_NEEDED,
    INTERNAL,
    INVALID_ARGUMENTS,
    NOT_CONFIRMED,
    REQUEST_TOO_DEEP,
    TOO_MANY_STREAMS,
    UNKNOWN_PROMPT,
    UNKNOWN_TOOL,
)
from composer_mcp.errors.composer import (
    BROWSER_UNAVAILABLE,
    COMPOSER_CHANGED,
    COMPOSER_REFUSED,
    COMPOSER_REJECTED_TOKEN,
    COMPOSER_UNAVAILABLE,
    COMPOSITION_BUSY,
    COMPOSITION_NOT_FOUND,
    EDITOR_NOT_READY,
    NOTHING_TO_COPY,
    PROJECT_NOT_FOUND,
    TEMPLATE_NOT_FOUND,
    UNKNOWN_PLACEHOLDER,
    VERSION_CONFLICT,
    VERSION_NEEDED,
    VERSION_NOT_FOUND,
)
from composer_mcp.errors.jobs import (
    ARTIFACT_TOO_LARGE,
    ARTIFACT_UNKNOWN,
    DEADLINE_EXCEEDED,
    EVIDENCE_UNKNOWN,
    INPUT_TIMEOUT,
    JOB_CANCELLED,
    JOB_LOST,
    JOB_NEEDS_INPUT,
    JOB_NOT_REPEATABLE,
    JOB_PENDING,
    JOB_POISONED,
    JOB_TIMEOUT,
    JOB_UNKNOWN,
    KEY_REUSED,
    QUEUE_FULL,
    STORE_UNAVAILABLE,
)
from composer_mcp.errors.kinds import ComposerError, ErrorCode
from composer_mcp.errors.lessons import (
    AMBIGUOUS_MOVES,
    COMPOSITION_FULL,
    INVALID_LESSON,
    NO_HEADING,
    UNKNOWN_WIDGET_TYPE,
    WIDGET_NOT_FOUND,
)
from composer_mcp.errors.settings import (
    INTAKE_CLOSED,
    SETTING_FIXED,
    SETTING_INVALID,
    SETTING_UNKNOWN,
    SETTINGS_CHANGED,
)

__all__ = [
    "ACCOUNT_DISABLED",
    "ACCOUNT_EXISTS",
    "ACCOUNT_NEEDED",
    "ACCOUNT_TENANT",
    "ACCOUNT_UNKNOWN",
    "ADDRESS_UNKNOWN",
    "AMBIGUOUS_MOVES",
    "ARTIFACT_TOO_LARGE",
    "ARTIFACT_UNKNOWN",
    "AUDIT_BROKEN",
    "AUDIT_ENTRY_UNKNOWN",
    "AUDIT_UNAVAILABLE",
    "BODY_INCOMPLETE",
    "BODY_TOO_LARGE",
    "BROWSER_UNAVAILABLE",
    "COMPOSER_CHANGED",
    "COMPOSER_REFUSED",
    "COMPOSER_REJECTED_TOKEN",
    "COMPOSER_UNAVAILABLE",
    "COMPOSITION_BUSY",
    "COMPOSITION_FULL",
    "COMPOSITION_NOT_FOUND",
    "CONFIRMATION_NEEDED",
    "DEADLINE_EXCEEDED",
    "EDITOR_NOT_READY",
    "EVIDENCE_UNKNOWN",
    "INPUT_TIMEOUT",
    "INTAKE_CLOSED",
    "INTERNAL",
    "INVALID_ARGUMENTS",
    "INVALID_LESSON",
    "INVALID_REQUEST",
    "INVALID_TOKEN",
    "ISSUER_UNKNOWN",
    "JOB_CANCELLED",
    "JOB_LOST",
    "JOB_NEEDS_INPUT",
    "JOB_NOT_REPEATABLE",
    "JOB_PENDING",
    "JOB_POISONED",
    "JOB_TIMEOUT",
    "JOB_UNKNOWN",
    "KEYS_UNAVAILABLE",
    "KEY_REUSED",
    "LAST_ADMINISTRATOR",
    "METHOD_NOT_ALLOWED",
    "MISSING_SCOPE",
    "NOTHING_TO_COPY",
    "NOT_CONFIRMED",
    "NO_HEADING",
    "PROJECT_NOT_FOUND",
    "QUEUE_FULL",
    "REQUEST_TOO_DEEP",
    "ROLE_MISSING",
    "SETTINGS_CHANGED",
    "SETTING_FIXED",
    "SETTING_INVALID",
    "SETTING_UNKNOWN",
    "STORE_UNAVAILABLE",
    "TEMPLATE_NOT_FOUND",
    "TOO_MANY",
    "TOO_MANY_STREAMS",
    "UNKNOWN_PLACEHOLDER",
    "UNKNOWN_PROMPT",
    "UNKNOWN_TOOL",
    "UNKNOWN_WIDGET_TYPE",
    "VERSION_CONFLICT",
    "VERSION_NEEDED",
    "VERSION_NOT_FOUND",
    "WIDGET_NOT_FOUND",
    "ComposerError",
    "ErrorCode",
    "table",
]


def table() -> str:
    """Return the whole table as Markdown, for ``docs/errors.md``."""
    lines = ["| code | HTTP | what happened | what to do | repeat as is |", "|---|---|---|---|---|"]
    for name, code in sorted(ErrorCode.registry.items()):
        repeat = "yes" if code.retryable else "no"
        lines.append(f"| `{name}` | {code.status} | {code.sentence} | {code.remedy} | {repeat} |")
    return "\n".join(lines)
