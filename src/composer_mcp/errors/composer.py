"""Errors of the third party, and of the browser that shows it."""

from __future__ import annotations

from composer_mcp.errors.kinds import ErrorCode

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
