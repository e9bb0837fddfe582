"""What operators can see and do: every tenant's jobs, how each went, and once more what was given up."""

from __future__ import annotations

import functools
import json
import signal
import subprocess
import time
import uuid
from typing import Any

import anyio
import httpx
import pytest

from composer_mcp.errors import ComposerError
from composer_mcp.jobs.admin import Filter
from composer_mcp.jobs.engine import JobState
from composer_mcp.jobs.postgres_admin import PostgresJobAdmin
from composer_mcp.jobs.requests import CreateComposition
from composer_mcp.security.accounts import NewAccount
from composer_mcp.store.postgres_accounts import Bell, PostgresAccounts

from .composer_calls import lesson
from .composer_fixtures import Standin
from .support.installation import Platform
from .test_jobs import until
from .test_jobs_in_trouble import pool_of
from .test_jobs_killed import composing, start_worker
from .test_jobs_lifecycle import engine_of, in_thread, no_progress, submit

__all__ = ["composing"]

pytestmark = pytest.mark.anyio


def jobs(platform: Platform, *arguments: str) -> Any:
    """What the command prints as JSON."""
    return json.loads(platform.run("jobs", *arguments, "--json"))


def refused(platform: Platform, *arguments: str, code: int = 1) -> str:
    """What the command says when it fails."""
    done = subprocess.run(
        platform.command("jobs", *arguments), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code and not done.stdout, done
    return done.stderr


async def test_jobs_of_all_tenants_are_listed_newest_first_and_narrowed(platform: Platform) -> None:
    async with engine_of(platform) as engine:
        made = [await submit(engine, "sit-0001", tenant=tenant) for tenant in ("a", "b", "a")]
        await engine.cancel("b", made[1])
        admin = PostgresJobAdmin(engine)

        async def listed(**which: Any) -> list[uuid.UUID]:
            return [job.job_id for job in await admin.list(Filter(**which))]

        assert await listed() == made[::-1]
        assert await listed(tenant="a") == [made[2], made[0]]
        assert await listed(state="cancelled") == [made[1]]
        assert await listed(tenant="a", state="cancelled") == []
        assert await listed(kind="create_composition") == await listed(state="dead") == []
        assert await listed(limit=2) == made[:0:-1] and await listed(before=made[1], limit=2) == made[:1]
        with pytest.raises(ComposerError) as unknown:
            await listed(before=uuid.uuid4())
        assert unknown.value.code.code == "job_unknown"
    printed = await in_thread(platform.run, "jobs", "list", "--tenant", "b")
    assert str(made[1]) in printed and "cancelled" in printed and str(made[0]) not in printed
    assert "older ones: --before" in await in_thread(platform.run, "jobs", "list", "--limit", "1")
    assert [job["job_id"] for job in (await in_thread(jobs, platform, "list"))["jobs"]] == [
        str(job_id) for job_id in made[::-1]
    ]


async def test_each_attempt_is_shown_with_its_worker_and_its_end(platform: Platform) -> None:
    victim = await in_thread(platform.start_tame_worker)
    async with engine_of(platform) as engine:
        job_id = await submit(engine, platform.hold("victim"))
        await in_thread(victim.wait_for, "tame.begun")
        running = await in_thread(jobs, platform, "show", str(job_id))
        heir = await in_thread(platform.start_tame_worker)
        victim.signal(signal.SIGKILL)
        await in_thread(heir.wait_for, "tame.begun")
        platform.release("victim", jobs=2)
        await engine.wait(job_id, no_progress)
    assert [each["outcome"] for each in running["history"]] == ["running"]
    shown = await in_thread(jobs, platform, "show", str(job_id))
    lost, done = shown["history"]
    assert (lost["number"], lost["outcome"], lost["finished_at"]) == (1, "lost", None)
    assert (done["number"], done["outcome"], done["finished_at"]) == (2, "succeeded", shown["finished_at"])
    assert lost["worker"].endswith(f"/{victim.pid}") and done["worker"].endswith(f"/{heir.pid}")
    assert shown["attempts"] == 2 and shown["worker"] == done["worker"] and shown["error"] is None
    text = await in_thread(platform.run, "jobs", "show", str(job_id))
    assert done["worker"] in text and "lost" in text


async def test_a_dead_job_is_seen_and_repeated_with_one_effect(composing: Platform, standin: Standin) -> None:
    # One attempt, and its worker dies when all is written: the next one gives the job up.
    composing.config.write_text(composing.config.read_text() + "\n[worker]\nattempt_limit = 1\n")
    title, key = f"Uma vez {uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    victim = await in_thread(start_worker, composing, "after")
    async with engine_of(composing) as engine:
        request = CreateComposition(lesson=lesson(title))
        first = (await engine.submit("school", key, request, "correlation")).job_id
        assert await in_thread(victim.wait) < 0
        heir = await in_thread(start_worker, composing, "never")
        with anyio.fail_after(30):
            assert (await engine.wait(first, no_progress)).state is JobState.FAILED
        (dead,) = (await in_thread(jobs, composing, "list", "--state", "dead"))["jobs"]
        assert dead["job_id"] == str(first) and dead["dead"] and dead["error_code"] == "job_poisoned"

        repeated = await in_thread(jobs, composing, "repeat", str(first))
        assert repeated["created"] and repeated["tenant"] == "school"
        second = uuid.UUID(repeated["job_id"])
        with anyio.fail_after(30):
            record = await engine.wait(second, no_progress)
        assert record.state is JobState.SUCCEEDED and record.result is not None, heir.output
        made = await in_thread(standin.compositions, title)
        assert [each["uid"] for each in made] == [record.result["uid"]]

        # Once more it is the same job, for operators and for whoever calls again.
        again = await in_thread(jobs, composing, "repeat", str(first))
        assert (again["job_id"], again["created"]) == (str(second), False)
        assert (await engine.submit("school", key, request, "correlation")).job_id == second
        shown = await in_thread(jobs, composing, "show", str(first))
        assert shown["state"] == "failed" and shown["repeated_as"] == str(second)
        trail = json.loads(await in_thread(composing.run, "audit", "list", "--json"))["entries"]
        assert [entry["target"] for entry in trail if entry["action"] == "job.repeat"] == [str(first)] * 2
        # Neither shows what the tenant wrote.
        assert title not in json.dumps([shown, await in_thread(jobs, composing, "show", str(second))])


async def test_ten_operators_who_repeat_a_job_at_once_make_one(platform: Platform) -> None:
    worker = await in_thread(platform.start_tame_worker)
    async with engine_of(platform) as engine, engine_of(platform) as other:
        job_id = await submit(engine, "fail-invalid_arguments")
        assert (await engine.wait(job_id, no_progress)).state is JobState.FAILED
        made: list[tuple[uuid.UUID, bool]] = []

        async def repeat(admin: PostgresJobAdmin) -> None:
            done = await admin.repeat(job_id, "correlation")
            made.append((done.job_id, done.created))

        # No worker, or the repetition fails as well before all have asked.
        await in_thread(worker.stop)
        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(repeat, PostgresJobAdmin(other if number % 2 else engine))
        assert len({each for each, _ in made}) == 1 and sum(created for _, created in made) == 1
        assert platform.sql("select count(*) from job") == "2"


async def test_what_cannot_be_repeated_is_refused_with_the_reason(platform: Platform) -> None:
    platform.configure(queue={"per_tenant_limit": 1})
    worker = await in_thread(platform.start_tame_worker)
    async with engine_of(platform) as engine:
        done = await submit(engine, "sit-0001")
        await engine.wait(done, no_progress)
        failed = await submit(engine, "fail-invalid_arguments")
        await engine.wait(failed, no_progress)
        running = await submit(engine, platform.hold("running"))
        await until(platform, "select count(*) from job where state = 'running'", "1")
        told = {
            job_id: await in_thread(refused, platform, "repeat", str(job_id)) for job_id in (done, running)
        }
        assert "it has succeeded" in told[done] and "it is running" in told[running]
        again = (await in_thread(jobs, platform, "repeat", str(failed)))["job_id"]
        await engine.wait(uuid.UUID(again), no_progress)
        assert f"repeated as {again}, which failed as well" in await in_thread(
            refused, platform, "repeat", str(failed)
        )
        assert "There is no job" in await in_thread(refused, platform, "show", str(uuid.uuid4()))
        platform.release("running")
        await engine.wait(running, no_progress)
        # A repetition waits in the queue like any other job, and finds it full like any other.
        await in_thread(worker.stop)
        await submit(engine, "sit-0001")
        assert "already waiting" in await in_thread(refused, platform, "repeat", again)
    usage = functools.partial(refused, platform, "list", "--state", "asleep", code=2)
    assert "input_required" in await in_thread(usage)


async def test_an_operator_stops_a_job_at_once(platform: Platform) -> None:
    worker = await in_thread(platform.start_tame_worker)
    async with engine_of(platform) as engine:
        job_id = await submit(engine, "sit-60000")
        await in_thread(worker.wait_for, "tame.begun")
        admin = PostgresJobAdmin(engine)
        began = time.monotonic()
        shown = await admin.cancel(job_id)
        await in_thread(worker.wait_for, "tame.stopped")
        # The job takes a minute.
        assert time.monotonic() - began < 20
        assert shown.summary.state is JobState.CANCELLED and shown.attempts[-1].outcome == "cancelled"
        assert await admin.cancel(job_id) == shown
    assert "cancelled" in await in_thread(platform.run, "jobs", "cancel", str(job_id))


async def test_operators_do_the_same_over_http_and_nobody_else_does(platform: Platform) -> None:
    platform.configure(queue={"per_tenant_limit": 2})
    web = await in_thread(platform.start_web)
    worker = await in_thread(platform.start_tame_worker)
    operator = NewAccount(
        name="operator",
        issuer=platform.issuer.url,
        subject="operator",
        tenant="operations",
        roles=["operator"],
    )
    async with pool_of(platform) as pool:
        await PostgresAccounts(pool, Bell()).add(operator)
    token = platform.issuer.token("operations", "jobs:operate", sub="operator")
    teacher = platform.issuer.token("school")
    base = f"http://127.0.0.1:{platform.port}/admin/v1/jobs"
    async with engine_of(platform) as engine, httpx.AsyncClient(timeout=30) as http:

        async def ask(method: str, path: str = "", who: str = token) -> httpx.Response:
            return await http.request(method, base + path, headers={"Authorization": f"Bearer {who}"})

        failed = await submit(engine, "fail-invalid_arguments")
        await engine.wait(failed, no_progress)
        listed = await ask("GET", "?state=failed&tenant=school&limit=1")
        assert listed.status_code == 200, f"{listed.text}\n{web.output}"
        (job,) = listed.json()["jobs"]
        assert (
            job["job_id"] == listed.json()["next"] == str(failed) and job["error_code"] == "invalid_arguments"
        )
        assert (await ask("GET", f"/{failed}")).json()["history"][0]["outcome"] == "invalid_arguments"
        assert (await ask("GET", f"/{failed}")).json()["evidence"] is None
        # The worker ends, so that what is queued from here on waits.
        await in_thread(worker.stop)
        repeated = (await ask("POST", f"/{failed}/repeat")).json()
        again = (await ask("POST", f"/{failed}/repeat")).json()
        assert repeated["created"] and again == repeated | {"created": False}
        stopped = (await ask("POST", f"/{repeated['job_id']}/cancel")).json()
        assert stopped["state"] == "cancelled"
        refused = await ask("POST", f"/{repeated['job_id']}/repeat")
        assert refused.status_code == 409 and refused.json()["code"] == "job_not_repeatable"
        other = await submit(engine, "sit-0001")
        platform.sql(
            f"update job set state = 'failed', error = '{{}}', finished_at = now() where id = '{other}'"
        )
        for _ in range(2):
            await submit(engine, "sit-0001")
        full = await ask("POST", f"/{other}/repeat")
        assert full.status_code == 429 and int(full.headers["Retry-After"]) >= 1
        assert (await ask("GET", f"/{uuid.uuid4()}")).status_code == 404
        for method, path in (("GET", ""), ("GET", f"/{failed}"), ("POST", f"/{failed}/repeat")):
            assert (await ask(method, path, teacher)).status_code == 403
        assert (await ask("GET", who="no-token")).status_code == 401
    trail = json.loads(await in_thread(platform.run, "audit", "list", "--json"))
    assert any(f"{failed}/repeat" in json.dumps(entry) for entry in trail["entries"])
