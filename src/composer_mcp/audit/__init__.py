"""The audit trail: who did what, when, from where, and how it ended; changed by nobody unnoticed.

``entry`` is what is recorded and ``chain`` what makes tampering show; ``trail`` writes, ``postgres`` and
``sqlite`` keep (``store`` is their port), ``verify`` and ``archive`` read. ``calls`` records what callers do,
``denials`` who was turned away, ``opening`` what is done on the command line. Nothing here decides what
anybody may do.
"""

from composer_mcp.audit.entry import Entry, now
from composer_mcp.audit.trail import AuditTrail

__all__ = ["AuditTrail", "Entry", "now"]
