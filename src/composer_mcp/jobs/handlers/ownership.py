"""Whose composition it is: asked before anything goes to Composer, noted after anything was done.

Composer keeps the compositions of all tenants in one project and knows nothing of tenants. What is another
tenant's does not exist, word for word.
"""

from __future__ import annotations

from composer_mcp.composition import html, widgets
from composer_mcp.composition.document import Document, version_of
from composer_mcp.composition.json_values import storable
from composer_mcp.errors import COMPOSITION_NOT_FOUND
from composer_mcp.jobs.work import Work

#: More than our own tools let anybody write.
MAX_LENGTH = 2000
MAX_TAGS = 50


async def check(uid: str, work: Work) -> bool:
    """Return whether the composition is the tenant's already; nobody's may be used, too, if so configured.

    Raises:
        composition_not_found: it is another tenant's, or nobody's and those are refused.
        store_unavailable.
    """
    owner = await work.compositions.owner(uid)
    if owner == work.tenant:
        return True
    if owner is not None or work.unowned == "refuse":
        raise COMPOSITION_NOT_FOUND.error()
    return False


async def claim(uid: str, document: Document, work: Work) -> None:
    """Make nobody's composition the tenant's, before anything is written to it.

    Raises:
        composition_not_found: it has become another tenant's since it was checked.
        store_unavailable.
    """
    await note(uid, document, work)
    if await work.compositions.owner(uid) != work.tenant:
        raise COMPOSITION_NOT_FOUND.error()


async def note(uid: str, document: Document, work: Work) -> None:
    """Note what a composition is like now; its owner stays who it was, nobody's becomes the tenant's.

    Raises:
        store_unavailable.
    """
    await work.compositions.record(
        work.tenant,
        uid,
        title=_kept(document.title),
        description=_kept(document.description),
        author=_kept(author_of(document)),
        tags=[_kept(tag) for tag in document.tags[:MAX_TAGS]],
        version=version_of(document),
    )


def _kept(text: str) -> str:
    """Return a text as the register can keep it; one made by hand may be longer, or hold half a character."""
    return str(storable(text[:MAX_LENGTH]))


def author_of(document: Document) -> str:
    """Return the name in the first heading, as it reads on the page."""
    for widget in document.structure:
        if isinstance(widget, widgets.Head):
            return html.first_words(widget.author_name)
    return ""
