"""Before a step that cannot simply be undone, the person is asked; nothing is done before the answer.

Clients of both protocol eras are asked in their own way by the SDK: within the call where the connection
allows it, else by an answer that the client completes and sends again. A client that cannot ask its user
must say with ``confirm`` that it has done so.
"""

from __future__ import annotations

from typing import Annotated

from mcp.server.elicitation import AcceptedElicitation
from mcp.server.mcpserver import Elicit, ElicitationResult
from mcp_types import ClientCapabilities
from pydantic import BaseModel, Field

from composer_mcp.errors import CONFIRMATION_NEEDED, NOT_CONFIRMED
from composer_mcp.mcp.calls import Call

Confirm = Annotated[
    bool,
    Field(
        description="only if your client cannot ask its user: true once the person has agreed; "
        "otherwise they are asked"
    ),
]


class Consent(BaseModel):
    """The form that a person fills in."""

    agree: bool = Field(title="Concordo / I agree", description="Sim, pode fazer. / Yes, go ahead.")


AGREED = Consent(agree=True)
Answer = ElicitationResult[Consent]


def ask(call: Call, step: str, *, confirm: bool) -> Elicit[Consent] | Consent:
    """Return the question whether ``step`` may be done, for a resolver to return; or the answer, if known.

    Raises:
        confirmation_needed: the client cannot be asked, and has not confirmed by itself.
    """
    if _can_be_asked(call):
        return Elicit(step, Consent)
    if confirm:
        return AGREED
    raise CONFIRMATION_NEEDED.error(step=step)


def require(answer: Answer) -> None:
    """Return if the person agreed.

    Raises:
        not_confirmed: they declined, closed the form, or sent it without agreeing.
    """
    if not isinstance(answer, AcceptedElicitation) or not answer.data.agree:
        raise NOT_CONFIRMED.error(answer=answer.action if answer.action != "accept" else "did not agree")


def _can_be_asked(call: Call) -> bool:
    capabilities: ClientCapabilities | None = call.client_capabilities
    asked = capabilities.elicitation if capabilities else None
    if asked is None or (asked.form is None and asked.url is not None):
        return False
    # Clients of the older era are asked within the call; over stateless HTTP nothing can reach them.
    return call.session.can_send_request or _answers_by_repeating(call)


def _answers_by_repeating(call: Call) -> bool:
    return (call.protocol_version or "") >= "2026-07-28"
