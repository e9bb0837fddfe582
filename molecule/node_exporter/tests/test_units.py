"""The exporter's units come by themselves, and may do little."""

from __future__ import annotations

from typing import Any

import pytest

# How much each may do, by systemd's measure, at most.
EXPOSURES = {
    "prometheus-node-exporter": 2.0,
    "composer-apparmor-metrics": 3.0,
    "composer-backup-metrics": 3.0,
}


@pytest.mark.parametrize(
    "unit", ["composer-apparmor-metrics", "composer-backup-metrics", "prometheus-node-exporter-apt"]
)
def test_a_collector_is_started_by_its_timer(host: Any, unit: str) -> None:
    assert host.service(f"{unit}.timer").is_running
    assert host.run(f"systemctl start {unit}").succeeded
    timer = host.run(f"systemctl list-timers --no-legend {unit}.timer").stdout
    assert f"{unit}.service" in timer and not timer.startswith("-")


@pytest.mark.parametrize("unit", EXPOSURES)
def test_a_unit_may_do_little(host: Any, unit: str) -> None:
    said = host.run(f"systemd-analyze security --no-pager {unit}.service")
    exposure = float(said.stdout.rpartition("service: ")[2].split()[0])
    assert exposure <= EXPOSURES[unit], said.stdout
