"""Errors told at the door: who is not let in, and which requests are not even looked at."""

from __future__ import annotations

from composer_mcp.errors.kinds import ErrorCode

MISSING_SCOPE = ErrorCode(
    "insufficient_scope",
    status=403,
    sentence="{what} needs the scope {scope}, which the token does not have.",
    remedy="Get a token with the scope {scope}.",
)
ROLE_MISSING = ErrorCode(
    "role_missing",
    status=403,
    sentence="{what} needs the scope {scope}, which no role of the caller grants.",
    remedy="Ask an administrator for an account with a role that grants it (any of: {roles}). "
    "Another token does not help.",
)
METHOD_NOT_ALLOWED = ErrorCode(
    "method_not_allowed",
    status=405,
    sentence="This address answers {methods} only.",
    remedy="Use what it answers. Every MCP message is a POST of its own.",
)
ADDRESS_UNKNOWN = ErrorCode(
    "not_found",
    status=404,
    sentence="There is nothing at this address of the admin API.",
    remedy="The document at /admin/v1/openapi.json lists what there is; composer-mcp openapi prints it too.",
)
INVALID_REQUEST = ErrorCode(
    "invalid_request",
    status=422,
    sentence="The request breaks {count} rule(s). Nothing was changed.",
    remedy="Mend what `problems` lists, each with its place, and send it again.",
)
BODY_TOO_LARGE = ErrorCode(
    "body_too_large",
    status=413,
    sentence="The request is larger than {limit} bytes. Nothing was done.",
    remedy="Send a smaller one: make two compositions of a long lesson, or change it in several calls.",
)
BODY_INCOMPLETE = ErrorCode(
    "body_incomplete",
    status=400,
    sentence="The connection ended before the request's body was complete. Nothing was done.",
    remedy="Repeat the call.",
    retryable=True,
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
ACCOUNT_DISABLED = ErrorCode(
    "account_disabled",
    status=403,
    sentence="The account {name} is disabled. Nothing was done.",
    remedy="Ask an administrator to enable it. Another token does not help.",
)
ACCOUNT_NEEDED = ErrorCode(
    "account_needed",
    status=403,
    sentence="This server lets in only who has an account here, and the token's subject has none.",
    remedy="Ask an administrator for an account. Another token does not help.",
)
ACCOUNT_TENANT = ErrorCode(
    "account_of_another_tenant",
    status=403,
    sentence="The account {name} belongs to another tenant than the token says. Nothing was done.",
    remedy="Get a token for the account's own tenant, or ask an administrator.",
)
ACCOUNT_UNKNOWN = ErrorCode(
    "account_unknown",
    status=404,
    sentence="There is no account {name}. Nothing was changed.",
    remedy="List the accounts (composer-mcp user list, or GET /admin/v1/accounts) and use a name from there.",
)
ACCOUNT_EXISTS = ErrorCode(
    "account_exists",
    status=409,
    sentence="The name {name} is taken, or the subject of this issuer has an account. Nothing was changed.",
    remedy="Change that one, or choose another name.",
)
LAST_ADMINISTRATOR = ErrorCode(
    "last_administrator",
    status=409,
    sentence="The account {name} is the last that can manage accounts. Nothing was changed.",
    remedy="Give another enabled account the role administrator first.",
)
TOO_MANY = ErrorCode(
    "limit_reached",
    status=409,
    sentence="There are {limit} {what} already, and no more are kept. Nothing was changed.",
    remedy="Remove what is needed no longer.",
)
ISSUER_UNKNOWN = ErrorCode(
    "issuer_unknown",
    status=422,
    sentence="The issuer {issuer} is not trusted here, so none of its tokens would be accepted anyway. "
    "Nothing was changed.",
    remedy="Use one of: {known}.",
)
