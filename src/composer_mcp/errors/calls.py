"""Errors about calls of tools, before there is a job; and the one that nobody expected."""

from __future__ import annotations

from composer_mcp.errors.kinds import ErrorCode

INTERNAL = ErrorCode(
    "internal",
    status=500,
    sentence="The server failed in an unexpected way.",
    remedy="Repeat the call with the same idempotency key. If it fails again, give the operator the job id.",
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
TOO_MANY_STREAMS = ErrorCode(
    "too_many_streams",
    status=429,
    sentence="{limit} subscription streams {whose} are open already.",
    remedy="Close one of them, follow several tasks in one stream, or ask with tasks/get.",
    retryable=True,
)
