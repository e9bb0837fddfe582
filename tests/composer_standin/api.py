"""The storage and account API: routes, headers, answers and refusals as known."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from composer_standin.account import USER_UID, Account
from composer_standin.faults import Faults
from composer_standin.store import Composition, Store

COMPOSER = "digitalpages/composer"
FILENAME = "composition.rdpcomposer"
REQUIRED = ("version", "metadata", "interface", "structure")
FILTER = re.compile(r"\(content_type eq '(?P<type>[^']*)'\) and \(project_uid eq '(?P<project>[^']*)'\)")

Handler = Callable[[Request], Awaitable[Response]]


class Refused(Exception):
    """The request is answered with a status and a short text (guess: the original's wording is unknown)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Api:
    """All API routes over one store."""

    def __init__(self, account: Account, store: Store, faults: Faults) -> None:
        self._account = account
        self._store = store
        self._faults = faults
        self._bad_tokens = 0

    def routes(self) -> list[Route]:
        """Return the routes; each has the name under which faults are set."""
        auth, storage = "/auth/v1.0", "/storage/v1.0"
        return [
            self._route(f"{auth}/user/me", self._user_me, "user_me"),
            self._route(f"{auth}/projects", self._projects, "projects"),
            self._route(f"{auth}/project/uid/{{project}}", self._project, "project"),
            self._route(f"{auth}/project/uid/{{project}}/users", self._users, "users"),
            self._route("/auth/v1.1/connector/uid/{connector}", self._connector, "connector"),
            self._route(f"{storage}/upload/connector/uid/{{connector}}", self._create, "create", "POST"),
            self._route(f"{storage}/content", self._update, "update", "PUT"),
            self._route(f"{storage}/content", self._read, "read"),
            self._route(f"{storage}/content/versions/dynamic", self._save_version, "save_version", "POST"),
            self._route(f"{storage}/content/versions/", self._versions, "versions"),
            self._route(f"{storage}/search", self._search, "search"),
        ]

    def _route(self, path: str, handler: Handler, name: str, method: str = "GET") -> Route:
        async def endpoint(request: Request) -> Response:
            instead = await self._faults.before(name)
            if instead is not None:
                return instead
            try:
                response = await handler(request)
            except Refused as refusal:
                return JSONResponse({"success": False, "message": refusal.message}, refusal.status)
            return await self._faults.after(name) or response

        return Route(path, endpoint, methods=[method], name=name)

    # --- who is asking -----------------------------------------------------------------------------

    def _user(self, request: Request) -> dict[str, Any]:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        user = self._account.user(token) if scheme.lower() == "bearer" else None
        if user is None:
            raise Refused(401, "Unauthorized")
        return user

    def _writer(self, request: Request) -> str:
        user = self._user(request)
        if request.headers.get("project-key") != self._account.project_key:
            raise Refused(403, "Invalid project key")
        if request.headers.get("api-env") != "prd":
            raise Refused(400, "Invalid environment")
        return str(user["oid"])

    async def _user_me(self, request: Request) -> Response:
        try:
            user = self._user(request)
        except Refused:
            # Both were seen with a bad token.
            self._bad_tokens += 1
            raise Refused(404 if self._bad_tokens % 2 else 500, "User not found") from None
        return JSONResponse({"uid": user["oid"], "email": user["email"], "name": user["name"]})

    # --- projects ----------------------------------------------------------------------------------

    def _described_project(self) -> dict[str, Any]:
        return {
            "uid": self._account.project_uid,
            "name": "Projeto de exemplo",
            "key": self._account.project_key,
        }

    async def _projects(self, request: Request) -> Response:
        self._user(request)
        return JSONResponse([self._described_project()])

    async def _project(self, request: Request) -> Response:
        self._user(request)
        if request.path_params["project"] != self._account.project_uid:
            raise Refused(404, "Project not found")
        connectors = [{"uid": self._account.connector_uid, "name": "Composer"}]
        return JSONResponse({**self._described_project(), "connectors": connectors})

    async def _users(self, request: Request) -> Response:
        user = self._user(request)
        if request.path_params["project"] != self._account.project_uid:
            raise Refused(404, "Project not found")
        return JSONResponse([{"uid": USER_UID, "email": user["email"], "name": user["name"]}])

    async def _connector(self, request: Request) -> Response:
        self._user(request)
        if request.path_params["connector"] != self._account.connector_uid:
            raise Refused(404, "Connector not found")
        return JSONResponse({"uid": self._account.connector_uid, "name": "Composer"})

    # --- compositions ------------------------------------------------------------------------------

    async def _content(self, request: Request, accepted: set[str]) -> tuple[str, str]:
        async with request.form() as form:
            part = form.get("file")
            if not isinstance(part, UploadFile):
                raise Refused(400, "The part `file` is missing")
            if part.filename != FILENAME:
                raise Refused(400, "Invalid file name")
            content_type = (part.content_type or "").split(";")[0].strip()
            if content_type not in accepted:
                raise Refused(415, "Unsupported content type")
            raw = await part.read()
        try:
            document = json.loads(raw)
        except ValueError:
            raise Refused(400, "Invalid composition") from None
        if not isinstance(document, dict) or any(name not in document for name in REQUIRED):
            raise Refused(400, "Invalid composition")
        if not isinstance(document["metadata"], dict) or not isinstance(document["structure"], list):
            raise Refused(400, "Invalid composition")
        return raw.decode(), content_type

    def _found(self, request: Request) -> Composition:
        composition = self._store.compositions.get(request.query_params.get("uid", ""))
        if composition is None:
            raise Refused(404, "Content not found")
        return composition

    def _own_project(self, request: Request) -> None:
        if request.query_params.get("manual_project_uid") != self._account.project_uid:
            raise Refused(403, "Invalid project")

    @staticmethod
    def _saved(composition: Composition) -> Response:
        described = composition.described(composition.versions[-1])
        return JSONResponse({"uid": composition.uid, "success": True, "document": described})

    async def _create(self, request: Request) -> Response:
        user_uid = self._writer(request)
        if request.path_params["connector"] != self._account.connector_uid:
            raise Refused(404, "Connector not found")
        content, content_type = await self._content(request, {COMPOSER, "application/json"})
        return self._saved(self._store.create(content, content_type, self._account.project_uid, user_uid))

    async def _update(self, request: Request) -> Response:
        user_uid = self._writer(request)
        self._own_project(request)
        composition = self._found(request)
        content, content_type = await self._content(request, {COMPOSER})
        return self._saved(self._store.save(composition, content, content_type, user_uid))

    async def _save_version(self, request: Request) -> Response:
        return await self._update(request)

    async def _versions(self, request: Request) -> Response:
        self._user(request)
        composition = self._found(request)
        # Guess: a list of the same descriptions that a save answers with.
        return JSONResponse([composition.described(version) for version in reversed(composition.versions)])

    async def _read(self, request: Request) -> Response:
        query = request.query_params
        if self._account.user(query.get("access_token", "")) is None:
            raise Refused(401, "Unauthorized")
        if query.get("project_key") != self._account.project_key or query.get("api_env") != "prd":
            raise Refused(403, "Invalid project key")
        version = self._store.content(query.get("uid", ""))
        if version is None:
            raise Refused(404, "Content not found")
        return Response(version.content, media_type=version.content_type)

    async def _search(self, request: Request) -> Response:
        self._user(request)
        wanted = FILTER.fullmatch(request.query_params.get("filter", ""))
        if wanted is None:
            raise Refused(400, "Invalid filter")
        limit = int(request.query_params.get("top", "50"))
        newest = time.monotonic() - self._faults.search_lag
        found = [
            composition.described(composition.versions[-1]) | {"content_uid": composition.uid}
            for composition in self._store.compositions.values()
            if composition.project_uid == wanted["project"]
            and composition.versions[-1].content_type == wanted["type"]
            and composition.stored_at <= newest
        ]
        # Guess: a bare list, in no promised order; oldest first is the least helpful one.
        return JSONResponse(found[:limit])
