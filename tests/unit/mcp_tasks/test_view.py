"""When a client is advised to ask again, and what it can tell a person meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from composer_mcp.jobs.engine import JobState
from composer_mcp.mcp.tasks.view import summary

from .conftest import a_record


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("expected", "passed", "interval"),
    [
        (8.0, 0.0, 8.0),
        (8.0, 3.0, 5.0),
        (0.001, 0.0, 0.1),
        (600.0, 1.0, 10.0),
        # Overdue: ever less often.
        (1.0, 1.0, 0.1),
        (1.0, 30.0, 3.0),
        (1.0, 500.0, 10.0),
    ],
)
def test_the_interval_is_what_is_left_of_the_expected_time(
    expected: float, passed: float, interval: float
) -> None:
    record = a_record(JobState.RUNNING, created_at=ago(passed + 60), started_at=ago(passed))
    assert summary(record, expected)["pollIntervalMs"] == pytest.approx(interval * 1000, abs=50)


def test_a_waiting_job_has_all_its_time_before_it_and_is_asked_for_less_often_the_longer_it_waits() -> None:
    assert summary(a_record(created_at=ago(2)), 4.0)["pollIntervalMs"] == 4000
    assert summary(a_record(created_at=ago(60)), 4.0)["pollIntervalMs"] == pytest.approx(6000, abs=50)


def test_times_are_in_utc_and_whole_milliseconds() -> None:
    moment = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC).astimezone()
    task = summary(
        a_record(created_at=moment, updated_at=moment, expires_at=moment + timedelta(hours=1)), 1.0
    )
    assert task["createdAt"] == task["lastUpdatedAt"] == "2026-03-01T12:00:00.123Z"
    assert task["ttlMs"] == 3_600_000
    assert isinstance(task["ttlMs"], int)
    assert summary(a_record(expires_at=None), 1.0)["ttlMs"] is None


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (JobState.QUEUED, "Waiting for a worker"),
        (JobState.RUNNING, "Saving it (30%)"),
        (JobState.INPUT_REQUIRED, "Waiting for an answer to: name"),
        (JobState.SUCCEEDED, None),
    ],
)
def test_the_status_says_what_is_done_now(state: JobState, message: str | None) -> None:
    record = a_record(state, progress=0.3, progress_message="Saving it", input_requests={"name": {}})
    assert summary(record, 1.0).get("statusMessage") == message
