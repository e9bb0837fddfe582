"""The stand-in is what is known of Composer, and refuses what Composer would refuse."""

from __future__ import annotations

import base64
import gzip
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from composer_standin.account import CONNECTOR_UID, PROJECT_UID, Account, make_token
from composer_standin.app import application
from composer_standin.faults import Fault, Faults
from composer_standin.store import Store, new_uid

pytestmark = pytest.mark.anyio
SIGNING_KEY, PROJECT_KEY = "k" * 64, "0" * 32
TOKEN = make_token(SIGNING_KEY)
DOCUMENT = '{"version":"1.1","metadata":{"title":"A"},"interface":{},"structure":[]}'
CREATE = f"/storage/v1.0/upload/connector/uid/{CONNECTOR_UID}"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Project-Key": PROJECT_KEY, "Api-Env": "prd"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def faults() -> Faults:
    return Faults(occasional=False)


Open = Callable[[], httpx.AsyncClient]


@pytest.fixture
def connect(tmp_path: Path, faults: Faults) -> Open:
    def connect() -> httpx.AsyncClient:
        account = Account(SIGNING_KEY, PROJECT_KEY)
        app = application(account, Store(tmp_path), faults, "https://app.test", "https://api.test")
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://api.test")

    return connect


def part(
    content: str = DOCUMENT, name: str = "composition.rdpcomposer", kind: str = "digitalpages/composer"
) -> Any:
    return {"file": (name, content.encode(), kind)}


def query(uid: str) -> dict[str, str]:
    return {"uid": uid, "access_token": TOKEN, "project_key": PROJECT_KEY, "api_env": "prd"}


def test_a_uid_has_the_observed_form() -> None:
    uid = new_uid()
    assert uid.startswith("H4sIAAAA") and 500 <= len(uid) <= 510
    assert len(gzip.decompress(base64.urlsafe_b64decode(uid + "=" * (-len(uid) % 4)))) == 354


def test_a_token_has_the_observed_length_and_claims() -> None:
    assert abs(len(TOKEN) - 3276) <= 3
    claims = jwt.decode(TOKEN, SIGNING_KEY, algorithms=["HS256"])
    assert set(claims) == {"email", "name", "oid", "directory", "apim", "dirn", "role", "dcn"}


async def test_what_is_stored_is_read_back_byte_by_byte_also_after_a_restart(connect: Open) -> None:
    content = DOCUMENT.replace("{}", '{"new": [1.0, "ção"]}')
    async with connect() as client:
        saved = (await client.post(CREATE, headers=HEADERS, files=part(content))).json()
        assert saved["success"] and saved["document"]["processing_status"] == "Pending"
    async with connect() as client:
        answer = await client.get("/storage/v1.0/content", params=query(saved["uid"]))
    assert answer.text == content


@pytest.mark.parametrize(
    ("headers", "files", "status"),
    [
        ({"Authorization": "Bearer x"}, part(), 401),
        ({"Project-Key": "1" * 32}, part(), 403),
        ({"Api-Env": "dev"}, part(), 400),
        ({}, {"other": ("composition.rdpcomposer", b"{}", "digitalpages/composer")}, 400),
        ({}, part(name="x.json"), 400),
        ({}, part(kind="text/plain"), 415),
        ({}, part("[]"), 400),
        ({}, part("{"), 400),
        ({}, part(DOCUMENT.replace("structure", "elements")), 400),
    ],
)
async def test_a_wrong_upload_is_refused_and_not_kept(
    connect: Open, tmp_path: Path, headers: dict[str, str], files: Any, status: int
) -> None:
    async with connect() as client:
        answer = await client.post(CREATE, headers=HEADERS | headers, files=files)
    assert answer.status_code == status
    assert not (tmp_path / "writes.jsonl").exists()


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"access_token": "x"}, 401),
        ({"project_key": "x"}, 403),
        ({"api_env": "dev"}, 403),
        ({"uid": "x"}, 404),
    ],
)
async def test_a_wrong_read_is_refused(connect: Open, changes: dict[str, str], status: int) -> None:
    async with connect() as client:
        uid = (await client.post(CREATE, headers=HEADERS, files=part())).json()["uid"]
        answer = await client.get("/storage/v1.0/content", params=query(uid) | changes)
    assert answer.status_code == status


async def test_an_update_wants_the_project_and_the_exact_part_type(connect: Open) -> None:
    async with connect() as client:
        uid = (await client.post(CREATE, headers=HEADERS, files=part(kind="application/json"))).json()["uid"]
        right = {"uid": uid, "manual_project_uid": PROJECT_UID}
        put = "/storage/v1.0/content"
        answers = [
            await client.put(put, params=right | {"manual_project_uid": "x"}, headers=HEADERS, files=part()),
            await client.put(put, params=right, headers=HEADERS, files=part(kind="application/json")),
            await client.put(put, params=right, headers=HEADERS, files=part()),
            await client.post(f"{put}/versions/dynamic", params=right, headers=HEADERS, files=part()),
        ]
        versions = await client.get(f"{put}/versions/", params={"uid": uid}, headers=HEADERS)
    assert [answer.status_code for answer in answers] == [403, 415, 200, 200]
    assert len(versions.json()) == 3


async def test_a_bad_token_is_answered_with_404_or_500(connect: Open) -> None:
    async with connect() as client:
        answers = [
            await client.get("/auth/v1.0/user/me", headers={"Authorization": "Bearer x"}) for _ in range(2)
        ]
    assert [answer.status_code for answer in answers] == [404, 500]


async def test_some_routes_answer_500_now_and_then(connect: Open, faults: Faults) -> None:
    faults.occasional = True
    async with connect() as client:
        statuses = [(await client.get("/auth/v1.0/user/me", headers=HEADERS)).status_code for _ in range(14)]
    assert statuses.count(500) == 2


async def test_a_search_lists_compositions_of_the_type_and_project(connect: Open) -> None:
    def wanted(kind: str, project: str = PROJECT_UID) -> dict[str, str]:
        return {"filter": f"(content_type eq '{kind}') and (project_uid eq '{project}')", "top": "1000"}

    async with connect() as client:
        uid = (await client.post(CREATE, headers=HEADERS, files=part())).json()["uid"]
        kinds = ("digitalpages/composer", "application/rdpcomposer_template_element_text_1")
        found = [
            (await client.get("/storage/v1.0/search", params=wanted(k), headers=HEADERS)).json()
            for k in kinds
        ]
        wrong = await client.get("/storage/v1.0/search", params={"filter": "x"}, headers=HEADERS)
    assert [[entry["content_uid"] for entry in each] for each in found] == [[uid], []]
    assert wrong.status_code == 400


async def test_a_failure_after_saving_has_saved(connect: Open, faults: Faults, tmp_path: Path) -> None:
    faults.active.append(Fault("create", times=1, after_saving=True))
    async with connect() as client:
        answers = [await client.post(CREATE, headers=HEADERS, files=part()) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [500, 200]
    assert len((tmp_path / "writes.jsonl").read_text().splitlines()) == 2


async def test_only_the_page_may_call_the_api_from_a_browser(connect: Open) -> None:
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "project-key"}
    async with connect() as client:
        allowed = [
            (await client.options(CREATE, headers=ask | {"Origin": origin})).status_code
            for origin in ("https://app.test", "https://other.test")
        ]
    assert allowed == [200, 400]


async def test_a_version_is_read_by_its_own_uid(connect: Open) -> None:
    async with connect() as client:
        uid = (await client.post(CREATE, headers=HEADERS, files=part())).json()["uid"]
        where = {"uid": uid, "manual_project_uid": PROJECT_UID}
        newer = DOCUMENT.replace('"A"', '"B"')
        await client.put("/storage/v1.0/content", params=where, headers=HEADERS, files=part(newer))
        answer = await client.get("/storage/v1.0/content/versions/", params={"uid": uid}, headers=HEADERS)
        uids = [version["content_uid"] for version in answer.json()]
        contents = [
            (await client.get("/storage/v1.0/content", params=query(each))).text for each in (uid, *uids)
        ]
    assert uid not in uids and contents == [newer, newer, DOCUMENT]


@pytest.mark.parametrize(
    ("fault", "status", "seen"),
    [
        (Fault("user_me", "away", location="https://x.test/"), 302, ""),
        (Fault("user_me", "blank"), 200, ""),
        (Fault("user_me", "page"), 200, "Em manutenção"),
        (Fault("user_me", status=503), 503, "Internal error"),
        (Fault("user_me", skip=1), 200, "servico.composer@escola.example"),
    ],
)
async def test_a_route_fails_as_it_is_told_to(
    connect: Open, faults: Faults, fault: Fault, status: int, seen: str
) -> None:
    faults.active.append(fault)
    async with connect() as client:
        answer = await client.get("/auth/v1.0/user/me", headers=HEADERS)
    assert answer.status_code == status and seen in answer.text


async def test_a_bomb_is_small_and_unpacks_to_much(connect: Open, faults: Faults) -> None:
    faults.active.append(Fault("user_me", "bomb"))
    async with (
        connect() as client,
        client.stream("GET", "/auth/v1.0/user/me", headers=HEADERS) as answer,
    ):
        packed = b"".join([piece async for piece in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    assert len(packed) < 300_000 and int.from_bytes(packed[-4:], "little") == 200_000_000


async def test_the_page_shows_other_texts_when_told_to(connect: Open, faults: Faults) -> None:
    faults.texts = {"Nova composição": "Criar composição"}
    async with connect() as client:
        changed = (await client.get("/assets/main.js")).text
        faults.texts = {}
        known = (await client.get("/assets/main.js")).text
        assert (await client.get("/assets/..%2Findex.html")).status_code == 404
    assert "Criar composição" in changed and "Nova composição" in known and "Criar" not in known
