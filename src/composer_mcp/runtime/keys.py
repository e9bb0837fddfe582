"""Which settings may change at run time: the same dotted names as in the configuration file.

Nothing here needs a library, because completion in a shell asks for these names.
"""

from __future__ import annotations

#: Each is read anew wherever it is used; a name that is added here must be.
CHANGEABLE = (
    "intake.mode",
    "intake.reason",
    "log.level",
    "queue.deadline_seconds",
    "queue.per_tenant_limit",
    "queue.retention_days",
    "queue.total_limit",
    "worker.interactive_slots",
)
