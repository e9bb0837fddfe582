"""Errors about the audit trail, which every call depends on."""

from __future__ import annotations

from composer_mcp.errors.kinds import ErrorCode

AUDIT_UNAVAILABLE = ErrorCode(
    "audit_unavailable",
    status=503,
    sentence="{waiting} entries of the audit trail wait for the server's own database, and what cannot be "
    "recorded is not done. Nothing was done.",
    remedy="Repeat the call with the same idempotency key in a few seconds.",
    retryable=True,
)
AUDIT_BROKEN = ErrorCode(
    "audit_broken",
    status=503,
    sentence="The audit trail was changed from outside, or the server lacks the key or the right to go on "
    "with it. No call is done until that is settled; one under way may have been done.",
    remedy="Tell the operator: the log says why (audit.broken), and composer-mcp audit verify says where.",
)
AUDIT_VERIFYING = ErrorCode(
    "audit_verifying",
    status=429,
    sentence="This process verifies the audit trail for somebody already, and does so for one at a time.",
    remedy="Ask again after {retry_after} s.",
    retryable=True,
)
AUDIT_ENTRY_UNKNOWN = ErrorCode(
    "audit_entry_unknown",
    status=404,
    sentence="The audit trail has no entry {number}; its entries are {first} to {last}.",
    remedy="Use a number between these. Older entries are in the files that audit archive has written.",
)
