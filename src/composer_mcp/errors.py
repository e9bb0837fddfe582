"""Every error the server can report, declared once: code, HTTP status, sentence, remedy.

Tools, HTTP answers, logs, metrics and ``docs/errors.md`` all read this table. What an error is stands in
``failures``, what turns a caller away at the door in ``refusals``, what is wrong with a changed setting in
``setting_refusals``; all give their names on from here. Nothing else lives here.
"""

from __future__ import annotations

from composer_mcp.audit_refusals import AUDIT_BROKEN as AUDIT_BROKEN
from composer_mcp.audit_refusals import AUDIT_ENTRY_UNKNOWN as AUDIT_ENTRY_UNKNOWN
from composer_mcp.audit_refusals import AUDIT_UNAVAILABLE as AUDIT_UNAVAILABLE
from composer_mcp.failures import ComposerError as ComposerError
from composer_mcp.failures import ErrorCode as ErrorCode
from composer_mcp.refusals import ACCOUNT_DISABLED as ACCOUNT_DISABLED
from composer_mcp.refusals import ACCOUNT_EXISTS as ACCOUNT_EXISTS
from composer_mcp.refusals import ACCOUNT_NEEDED as ACCOUNT_NEEDED
from composer_mcp.refusals import ACCOUNT_TENANT as ACCOUNT_TENANT
from composer_mcp.refusals import ACCOUNT_UNKNOWN as ACCOUNT_UNKNOWN
from composer_mcp.refusals import ADDRESS_UNKNOWN as ADDRESS_UNKNOWN
from composer_mcp.refusals import BODY_INCOMPLETE as BODY_INCOMPLETE
from composer_mcp.refusals import BODY_TOO_LARGE as BODY_TOO_LARGE
from composer_mcp.refusals import INVALID_REQUEST as INVALID_REQUEST
from composer_mcp.refusals import INVALID_TOKEN as INVALID_TOKEN
from composer_mcp.refusals import ISSUER_UNKNOWN as ISSUER_UNKNOWN
from composer_mcp.refusals import KEYS_UNAVAILABLE as KEYS_UNAVAILABLE
from composer_mcp.refusals import LAST_ADMINISTRATOR as LAST_ADMINISTRATOR
from composer_mcp.refusals import METHOD_NOT_ALLOWED as METHOD_NOT_ALLOWED
from composer_mcp.refusals import MISSING_SCOPE as MISSING_SCOPE
from composer_mcp.refusals import ROLE_MISSING as ROLE_MISSING
from composer_mcp.refusals import TOO_MANY as TOO_MANY
from composer_mcp.setting_refusals import INTAKE_CLOSED as INTAKE_CLOSED
from composer_mcp.setting_refusals import SETTING_FIXED as SETTING_FIXED
from composer_mcp.setting_refusals import SETTING_INVALID as SETTING_INVALID
from composer_mcp.setting_refusals import SETTING_UNKNOWN as SETTING_UNKNOWN
from composer_mcp.setting_refusals import SETTINGS_CHANGED as SETTINGS_CHANGED

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

INVALID_LESSON = ErrorCode(
    "invalid_lesson",
    status=422,
    sentence="The {what} breaks {count} rule(s); {told} are told here. Nothing was saved.",
    remedy="Mend each at its path: `nearest` is a valid form in JSON, an example where content was missing. "
    "Then call again with the whole {what}.",
)

UNKNOWN_WIDGET_TYPE = ErrorCode(
    "unknown_widget_type",
    status=404,
    sentence="There is no element type {given}.",
    remedy="Use one of: {types}.",
)

COMPOSITION_FULL = ErrorCode(
    "composition_full",
    status=422,
    sentence="The composition would have {count} widgets, the limit is {limit}. Nothing was changed.",
    remedy="Remove widgets, or make a second composition.",
)

AMBIGUOUS_MOVES = ErrorCode(
    "ambiguous_moves",
    status=422,
    sentence="The {moves} steps that move widgets depend on one another: made twice, as after a broken "
    "connection, they would give another order. Nothing was changed.",
    remedy="Give the new order in one step: {{action: order, widget_ids: [ids from the top down]}}.",
)

# --- Composer, the third-party application ---------------------------------------------------------

COMPOSER_UNAVAILABLE = ErrorCode(
    "composer_unavailable",
    status=503,
    sentence="Composer did not answer properly ({reason}; tries: {tries}). {saved}",
    remedy="Wait {retry_after} s and repeat the call with the same idempotency key: "
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
    remedy="Use the `id` of a composition of yours (search_compositions finds it), or the complete `uid` "
    "or `url`.",
)

PROJECT_NOT_FOUND = ErrorCode(
    "project_not_found",
    status=502,
    sentence="Composer has no project with the configured uid, or does not show it to the service account.",
    remedy="Tell the operator to check composer.project_uid and that the account is a member of the project.",
)

COMPOSITION_BUSY = ErrorCode(
    "composition_busy",
    status=409,
    sentence="Another call has been changing this composition for more than {seconds} s. "
    "Nothing was changed.",
    remedy="Repeat the call with the same idempotency key in a minute.",
    retryable=True,
)

VERSION_NOT_FOUND = ErrorCode(
    "version_not_found",
    status=404,
    sentence="The composition has no version {version_uid}. Nothing was changed.",
    remedy="Use a complete `version_uid` that list_versions returned for this composition.",
)

TEMPLATE_NOT_FOUND = ErrorCode(
    "template_not_found",
    status=404,
    sentence="There is no template {template_id}.",
    remedy="Use a complete `template_id` that list_templates returned.",
)

UNKNOWN_PLACEHOLDER = ErrorCode(
    "unknown_placeholder",
    status=422,
    sentence="The template {template_id} has no placeholder {names}. Nothing was saved.",
    remedy="Use names from the `placeholders` that get_template returns; a template without any takes "
    "no `values`.",
)

NOTHING_TO_COPY = ErrorCode(
    "nothing_to_copy",
    status=422,
    sentence="{what} has no widgets, so there is nothing to copy. Nothing was saved.",
    remedy="Make a new composition with create_composition.",
)

VERSION_CONFLICT = ErrorCode(
    "version_conflict",
    status=409,
    sentence="The composition was changed by somebody else: its version is {current}, not {expected}. "
    "Nothing was changed.",
    remedy="Read it again with get_composition, repeat your change on what you read, pass the new version.",
)

VERSION_NEEDED = ErrorCode(
    "version_needed",
    status=428,
    sentence="This change takes the place of something that is there ({what}), so it must say what it was "
    "made for. Nothing was changed.",
    remedy="Read the composition with get_composition and pass its `version` as `expected_version`. "
    "Only a change that just adds widgets may go without.",
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
    sentence="Composer's editor did not become ready within {seconds:g} s ({shown}).",
    remedy="Repeat the call. The composition is untouched; get_composition reads it without the editor.",
    retryable=True,
)

INVALID_ARGUMENTS = ErrorCode(
    "invalid_arguments",
    status=422,
    sentence="The arguments of {tool} break {count} rule(s). It takes: {arguments}.",
    remedy="Mend what is listed (each with its path in the arguments) and call again. Nothing was saved.",
)
UNKNOWN_TOOL = ErrorCode(
    "unknown_tool",
    status=404,
    sentence="There is no tool {tool}.",
    remedy="Use one of: {tools}.",
)
UNKNOWN_PROMPT = ErrorCode(
    "unknown_prompt",
    status=404,
    sentence="There is no prompt {prompt}.",
    remedy="Use one of: {prompts}.",
)
REQUEST_TOO_DEEP = ErrorCode(
    "request_too_deep",
    status=400,
    sentence="The request's JSON is nested more than {limit} levels deep.",
    remedy="Send it flatter; no tool needs more than ten levels.",
)
CONFIRMATION_NEEDED = ErrorCode(
    "confirmation_needed",
    status=409,
    sentence="This needs a person's agreement, and your client cannot be asked for it: {step} "
    "Nothing was changed.",
    remedy="Ask the person exactly that. If they agree, repeat the call with `confirm: true`.",
)
NOT_CONFIRMED = ErrorCode(
    "not_confirmed",
    status=409,
    sentence="The person was asked and did not agree (answer: {answer}). Nothing was changed.",
    remedy="Do not repeat the call by yourself; ask the person what they want instead.",
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
TOO_MANY_STREAMS = ErrorCode(
    "too_many_streams",
    status=429,
    sentence="{limit} subscription streams {whose} are open already.",
    remedy="Close one of them, follow several tasks in one stream, or ask with tasks/get.",
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
JOB_NOT_REPEATABLE = ErrorCode(
    "job_not_repeatable",
    status=409,
    sentence="The job {job_id} cannot be repeated: {reason}. Nothing was changed.",
    remedy="Repeat only jobs that have failed; composer-mcp jobs list --state failed shows them.",
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
JOB_CANCELLED = ErrorCode(
    "job_cancelled",
    status=409,
    sentence="The job {job_id} was cancelled. {saved}",
    remedy="Nothing to do. To have it done after all, repeat the call with the same idempotency key: "
    "it continues from what was saved.",
    retryable=True,
)
JOB_NEEDS_INPUT = ErrorCode(
    "job_needs_input",
    status=409,
    sentence="The job {job_id} waits for an answer to: {inputs}.",
    remedy="Answer what it asks, or cancel it.",
)
INPUT_TIMEOUT = ErrorCode(
    "input_timeout",
    status=504,
    sentence="Nobody answered what the job {job_id} asked within {seconds} s, so it was given up.",
    remedy="Repeat the call with the same idempotency key, and answer what it asks.",
    retryable=True,
)
STORE_UNAVAILABLE = ErrorCode(
    "store_unavailable",
    status=503,
    sentence="The server's own {store} does not answer as it should. {state}",
    remedy="Repeat the call with the same idempotency key in a few seconds.",
    retryable=True,
)
EVIDENCE_UNKNOWN = ErrorCode(
    "evidence_unknown",
    status=404,
    sentence="Nothing is kept of what a page showed in the job {job_id}.",
    remedy="Check the id; evidence is kept of jobs that failed with a page open, as long as the job itself.",
)
ARTIFACT_UNKNOWN = ErrorCode(
    "artifact_unknown",
    status=404,
    sentence="There is no artifact {key}.",
    remedy="Repeat the call that made it.",
)
ARTIFACT_TOO_LARGE = ErrorCode(
    "artifact_too_large",
    status=413,
    sentence="What was made has {bytes} bytes, and {limit} may be kept.",
    remedy="Make it of fewer elements.",
)


def table() -> str:
    """Return the whole table as Markdown, for ``docs/errors.md``."""
    lines = ["| code | HTTP | what happened | what to do | repeat as is |", "|---|---|---|---|---|"]
    for name, code in sorted(ErrorCode.registry.items()):
        repeat = "yes" if code.retryable else "no"
        lines.append(f"| `{name}` | {code.status} | {code.sentence} | {code.remedy} | {repeat} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
