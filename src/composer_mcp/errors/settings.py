"""Errors about settings that change while the server runs, and about work that they turn away."""

from __future__ import annotations

from composer_mcp.errors.kinds import ErrorCode

INTAKE_CLOSED = ErrorCode(
    "intake_closed",
    status=503,
    sentence="The operator has stopped new work for now. {reason} Nothing was accepted.",
    remedy="Wait {retry_after} s and repeat the call with the same idempotency key.",
    retryable=True,
)
SETTING_UNKNOWN = ErrorCode(
    "setting_unknown",
    status=404,
    sentence="There is no setting {key}.",
    remedy="Use one of: {nearest}. composer-mcp config list shows all.",
)
SETTING_FIXED = ErrorCode(
    "setting_fixed",
    status=409,
    sentence="The setting {key} cannot be changed while the server runs. Nothing was changed.",
    remedy="Change it in the configuration file and restart the services. At run time change: {changeable}.",
)
SETTING_INVALID = ErrorCode(
    "setting_invalid",
    status=422,
    sentence="{problem} Nothing was changed.",
    remedy="Give a value that is allowed; docs/settings.md lists the bounds of every setting.",
)
SETTINGS_CHANGED = ErrorCode(
    "settings_changed",
    status=409,
    sentence="Somebody has changed the settings since version {expected}. Nothing was changed.",
    remedy="Read them again, decide anew, and send the version that you have read.",
)
