"""Completes what a person types into a prompt's argument or a resource's address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp.server.context import ServerRequestContext
from mcp_types import CompleteRequestParams, CompleteResult, Completion, ResourceTemplateReference

from composer_mcp.composition import vocabulary
from composer_mcp.composition.json_values import storable
from composer_mcp.composition.vocabulary import Term
from composer_mcp.errors import ComposerError
from composer_mcp.mcp import resources
from composer_mcp.security import caller
from composer_mcp.store.compositions import short_id

if TYPE_CHECKING:
    from composer_mcp.mcp.services import Services
    from composer_mcp.store.compositions import CompositionRegistry

#: The protocol allows 100; what does not fit on a screen helps nobody.
SHOWN = 20
LONGEST_TYPED = 200
LANGUAGES = ("pt_BR", "en")
VOCABULARIES: dict[str, dict[str, Term]] = {
    "subject": vocabulary.SUBJECTS,
    "grade": {**vocabulary.GRADES},
    "element": vocabulary.ELEMENT_TYPES,
}


async def complete(
    registry: CompositionRegistry, argument: str, typed: str, given: dict[str, str], *, within_address: bool
) -> list[str]:
    """Return what ``typed`` may become, best first; nothing where the caller may not look."""
    typed = storable(typed[:LONGEST_TYPED])
    if argument == "language":
        return [name for name in LANGUAGES if name.lower().startswith(typed.lower())]
    if argument in VOCABULARIES:
        return vocabulary.complete(VOCABULARIES[argument], typed, given.get("language", "pt_BR"))
    if argument in ("composition", "uid") and caller.current.get().may_use("search_compositions"):
        entries = await registry.search(caller.current.get().tenant, text=typed, limit=SHOWN)
        if within_address:
            return [entry.uid for entry in entries]
        return [labelled(entry.title, short_id(entry.uid)) for entry in entries]
    return []


def labelled(title: str, identity: str) -> str:
    """Return a composition as a person can recognize it and :func:`uid_in` can find it."""
    return f"{title} [{identity}]"


def uid_in(value: str) -> str | None:
    """Return the id or uid in what a person chose or typed, be it an address; ``None`` if there is none."""
    candidate = value.strip().removesuffix("]").rpartition("[")[2].rpartition("/")[2]
    return candidate if len(candidate) >= 8 and not set(candidate) - UID_CHARACTERS else None


UID_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-=")


async def answer(
    context: ServerRequestContext[Services, Any], params: CompleteRequestParams
) -> CompleteResult:
    """Answer ``completion/complete``."""
    given = (params.context.arguments if params.context else None) or {}
    try:
        values = await complete(
            context.lifespan_context.compositions,
            params.argument.name,
            params.argument.value,
            given,
            within_address=isinstance(params.ref, ResourceTemplateReference),
        )
    except ComposerError as error:
        raise resources.refused(error) from error
    completion = Completion(values=values[:SHOWN], total=len(values), has_more=len(values) > SHOWN)
    return CompleteResult(completion=completion)
