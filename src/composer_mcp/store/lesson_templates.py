"""Lesson templates of the operator, in the object store beside the artifacts; the package ships some too.

``templates/all/NAME.LANGUAGE.json`` is for everybody, ``templates/tenants/TENANT/NAME.LANGUAGE.json`` for one
tenant, whose name stands there in base64 (RFC 4648 section 5, without padding). A tenant's template hides one
for everybody of the same name, and both hide a shipped one of their language.

Each process keeps what it has read, for all tenants, within bounds, and looks again when it is asked after
some seconds. A file that is no template, and a store that is away, are told and harm nothing else.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from composer_mcp.composition import templates
from composer_mcp.composition.templates import LessonTemplate
from composer_mcp.errors import ComposerError
from composer_mcp.settings import ConfigurationError
from composer_mcp.store import objects

if TYPE_CHECKING:
    from obstore import ObjectMeta

    from composer_mcp.store.objects import ObjectStore

PREFIX = "templates"
PATH = re.compile(
    r"templates/(?:all|tenants/(?P<tenant>[A-Za-z0-9_-]{1,400}))/"
    r"(?P<name>[a-z0-9][a-z0-9-]{0,63})\.(?P<language>pt_BR|en)\.json"
)
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
LANGUAGES = ("pt_BR", "en")
#: A shipped one has about 3 kB. All together a process keeps at most their product.
MAX_BYTES = 64 * 1024
MAX_TEMPLATES = 500
#: How soon each process knows of a change.
REFRESH_SECONDS = 15.0
#: A list of templates waits no longer than that for the operator's.
LOOK_SECONDS = 5.0
READS = 8
#: Problems that one list tells.
MAX_TOLD = 5

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: a template, or what is wrong with it. ``tenant`` is ``None`` for everybody's."""

    path: str
    tenant: str | None
    name: str
    language: str
    version: str
    template: LessonTemplate | None
    problem: str = ""


class LessonTemplates:
    """The operator's templates, as last read."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._entries: Mapping[str, Entry] = {}
        self._looked_at = -REFRESH_SECONDS
        self._looking = asyncio.Lock()
        self._trouble: list[str] = []

    async def offered(self, tenant: str, language: str) -> tuple[list[LessonTemplate], list[str]]:
        """Return a tenant's templates and everybody's, by name, and what is wrong, in sentences.

        A template that there is in another language only is offered in that, unless the package has it in
        this one.
        """
        await self._refresh()
        chosen: dict[str, tuple[tuple[bool, bool], LessonTemplate]] = {}
        problems = list(self._trouble)
        for entry in self._of(tenant):
            if entry.language != language and entry.name in templates.NAMES:
                continue
            if entry.template is None:
                problems.append(
                    f"The template {entry.name} ({entry.language}) cannot be used; its keeper sees why with "
                    "composer-mcp template list."
                )
                continue
            rank = (entry.language == language, entry.tenant is not None)
            if entry.name not in chosen or rank > chosen[entry.name][0]:
                chosen[entry.name] = (rank, entry.template)
        found = [chosen[name][1].model_copy(deep=True) for name in sorted(chosen)]
        return found, problems[:MAX_TOLD]

    async def find(self, tenant: str, name: str, language: str) -> LessonTemplate | None:
        """Return one template, or nothing if there is none of that name for the tenant."""
        found, _ = await self.offered(tenant, language)
        return next((each for each in found if each.name == name), None)

    async def entries(self) -> list[Entry]:
        """Return all files of all tenants, as they are now.

        Raises:
            store_unavailable: the store cannot be reached.
        """
        async with self._looking:
            await self._look()
        return sorted(self._entries.values(), key=lambda entry: entry.path)

    async def put(self, tenant: str | None, name: str, language: str, text: bytes) -> Entry:
        """Keep a template, in place of one that is there.

        Raises:
            ConfigurationError: the name, the language or the size is none that a template may have.
            invalid_lesson, store_unavailable.
        """
        path = path_of(tenant, name, language)
        template = parsed(name, text)
        async with objects.reached("The template was not kept."):
            await self._store.put_async(path, text, mode="overwrite")
        self._looked_at = -REFRESH_SECONDS
        return Entry(path, tenant, name, language, "", template)

    async def remove(self, tenant: str | None, name: str, language: str) -> bool:
        """Remove a template; return whether there was one.

        Raises:
            ConfigurationError, store_unavailable: as for :meth:`put`.
        """
        path = path_of(tenant, name, language)
        async with objects.reached("The template was not removed."):
            try:
                await self._store.head_async(path)
                await self._store.delete_async(path)
            except FileNotFoundError:
                return False
        self._looked_at = -REFRESH_SECONDS
        return True

    def _of(self, tenant: str) -> Iterator[Entry]:
        return (entry for entry in self._entries.values() if entry.tenant in {None, tenant})

    async def _refresh(self) -> None:
        async with self._looking:
            if time.monotonic() - self._looked_at < REFRESH_SECONDS:
                return
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._look()
            except (ComposerError, TimeoutError) as error:
                self._looked_at = time.monotonic()
                log.warning("templates.not_read", error=repr(error.__cause__ or error)[:300])
                known = (
                    "those of some time ago are offered"
                    if self._entries
                    else "only those of the server are offered"
                )
                self._trouble = [f"The school's own templates cannot be read now; {known}."]

    async def _look(self) -> None:
        found: dict[str, ObjectMeta] = {}
        more = False
        listing = self._store.list(PREFIX, chunk_size=MAX_TEMPLATES)
        async with objects.reached():
            async for portion in listing:
                found |= {each["path"]: each for each in portion if PATH.fullmatch(each["path"])}
                if len(found) > MAX_TEMPLATES:
                    more = True
                    break
        bounded = {path: found[path] for path in sorted(found)[:MAX_TEMPLATES]}
        gate = asyncio.Semaphore(READS)

        async def read(path: str, there: ObjectMeta) -> Entry:
            known = self._entries.get(path)
            version = f"{there['e_tag']} {there['last_modified']} {there['size']}"
            if known is not None and known.version == version:
                return known
            async with gate:
                return await self._read(path, version)

        entries = await asyncio.gather(*(read(path, there) for path, there in bounded.items()))
        self._entries = {entry.path: entry for entry in entries}
        self._looked_at = time.monotonic()
        self._trouble = [f"There are more than {MAX_TEMPLATES} templates; some are left out."] * more

    async def _read(self, path: str, version: str) -> Entry:
        match = PATH.fullmatch(path)
        if match is None:
            raise ValueError(path)
        encoded = match["tenant"]
        name, language = match["name"], match["language"]
        template, problem, tenant = None, "", None
        try:
            tenant = None if encoded is None else _decoded(encoded)
            async with objects.reached():
                answer = await self._store.get_async(path)
                size = answer.meta["size"]
                text = bytes(await answer.bytes_async()) if size <= MAX_BYTES else b" " * (MAX_BYTES + 1)
            template = parsed(name, text)
        except FileNotFoundError:
            problem = "It was removed a moment ago."
        except ConfigurationError as error:
            problem = str(error)
        except ComposerError as error:
            if error.code.code == "store_unavailable":
                raise
            problem = error.sentence
        if problem:
            log.warning("templates.broken", path=path, problem=problem[:500])
        return Entry(path, tenant, name, language, version, template, problem)


def path_of(tenant: str | None, name: str, language: str) -> str:
    """Return where a template lies.

    Raises:
        ConfigurationError: there is no such name or language.
    """
    if NAME.fullmatch(name) is None:
        raise ConfigurationError(
            f"{name[:80]!r} is no name of a template: at most 64 small letters, digits and -, no - at first."
        )
    if language not in LANGUAGES:
        raise ConfigurationError(f"there is no language {language[:20]!r}. Known: {', '.join(LANGUAGES)}.")
    if tenant is None:
        return f"{PREFIX}/all/{name}.{language}.json"
    encoded = base64.urlsafe_b64encode(tenant.encode()).rstrip(b"=").decode()
    if not 1 <= len(encoded) <= 400:
        raise ConfigurationError("a tenant has a name of 1 to 300 bytes.")
    return f"{PREFIX}/tenants/{encoded}/{name}.{language}.json"


def _decoded(encoded: str) -> str:
    try:
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except ValueError as error:
        raise ConfigurationError(f"{encoded[:80]} is no tenant's name in base64.") from error


def parsed(name: str, text: bytes) -> LessonTemplate:
    """Read a template: ``title``, ``description``, and a ``lesson`` that is valid with nothing filled in.

    Raises:
        ConfigurationError: it is too large, or has not this form.
        invalid_lesson: its lesson is none.
    """
    if len(text) > MAX_BYTES:
        raise ConfigurationError(f"a template may have {MAX_BYTES} bytes, and this has more.")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"it is not JSON: {error}") from error
    if not isinstance(data, dict) or set(data) != {"title", "description", "lesson"}:
        raise ConfigurationError('it must be {"title": …, "description": …, "lesson": …} and nothing else.')
    if not all(isinstance(data[key], str) and 0 < len(data[key]) <= 300 for key in ("title", "description")):
        raise ConfigurationError("its title and its description must be texts of 1 to 300 characters.")
    if not isinstance(data["lesson"], dict):
        raise ConfigurationError("its lesson must be an object, as create_composition takes it.")
    template = templates.made(name, data)
    templates.filled(template)
    return template
