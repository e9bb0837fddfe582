"""How long hosts take: hardened against dev-sec's roles, the whole platform unchanged, from 2 to 200 hosts.

`make bench-hosts PEER=path` takes a checkout of the peer, https://github.com/dev-sec/ansible-collection-hardening.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from benchmarks import results
from benchmarks.hosts_stand import Played, machines, ours, peer, peer_version, play, play_with
from benchmarks.measure import Promise, Report, Row, progress
from benchmarks.peers_at_hand import PeerMissing
from lab import config
from lab.machine import PROJECT
from lab.site import environment

ABOUT = (
    "The same container image, Ansible core and connection settings for both. A fresh host has every "
    "package of our roles, so nobody waits for a mirror. The peer's roles run with the settings of its own "
    "container tests."
)
OURS, PEER = "composer-mcp", "devsec.hardening"
FRESH, AGAIN = "hardening, fresh host", "hardening, nothing to change"
SITE = "site.yml on the lab, nothing to change"
#: Of the runs with nothing to change the one in the middle counts.
ROUNDS = 3
#: Seconds, and the part of the peer's time.
LIMITS = {FRESH: (60.0, 1 / 5), AGAIN: (15.0, 1 / 20)}
SITE_SECONDS = 60.0
#: Many names for the same few machines: what grows with their number is the controller's work.
SIZES = (2, 10, 50, 200)
MACHINES = 2
GROWTH_TAGS = "hardening_time,hardening_banner"
FORKS = 20
#: The time of a host among 200 against that of one among 10; with two, starting Ansible is most of it.
FLAT_LIMIT = 1.25


async def run() -> Report:
    """Harden fresh machines in both ways, then look at what grows, and at the lab if one is up."""
    report = Report("hosts", "Hosts", ABOUT)
    await asyncio.to_thread(_measure, report, progress("hosts"))
    return report


def _measure(report: Report, say: Callable[[str], None]) -> None:
    seconds: dict[tuple[str, str], float] = {}
    ways = [ours()]
    try:
        ways.append(peer(say))
        report.versions[PEER] = peer_version()
    except PeerMissing as missing:
        report.remarks.append(str(missing))
        report.rows += (earlier := results.recorded("hosts", PEER))
        seconds |= {(row.what, PEER): row.figures["seconds"] for row in earlier}
    with machines(max(len(ways), MACHINES), say) as found:
        names = list(found)
        pairs = list(zip(ways, names, strict=False))
        for way, name in pairs:
            say(f"{way.name}: {FRESH}")
            played = play(way, {name: found[name]})
            seconds[FRESH, way.name] = played.seconds
            report.rows.append(_row(FRESH, way.name, played))
        again: dict[str, list[Played]] = {way.name: [] for way in ways}
        for number in range(ROUNDS):
            for way, name in pairs:
                say(f"{way.name}: {AGAIN}, {number + 1} of {ROUNDS}")
                again[way.name].append(play(way, {name: found[name]}))
        for who, runs in again.items():
            played = sorted(runs, key=lambda one: one.seconds)[ROUNDS // 2]
            seconds[AGAIN, who] = played.seconds
            report.rows.append(_row(AGAIN, who, played))
        _promise(report, seconds)
        # The second machine may have been hardened by the peer: from here on both are ours.
        play(ours(), found)
        _grow(report, found, say)
    _site(report, say)


def _row(what: str, who: str, played: Played) -> Row:
    hosts = max(1, len(played.ran))
    figures = {
        "seconds": played.seconds,
        "tasks a host": sum(played.ran.values()) / hosts,
        "changed": float(sum(played.changed.values())),
    }
    return Row(what, who, figures)


def _promise(report: Report, seconds: Mapping[tuple[str, str], float]) -> None:
    for what, (limit, share) in LIMITS.items():
        mine = seconds[what, OURS]
        report.promises.append(Promise(what, mine, limit, "s"))
        if (what, PEER) in seconds:
            report.promises.append(
                Promise(f"{what}, part of the peer's time", mine / seconds[what, PEER], share)
            )


def _grow(report: Report, found: Mapping[str, str], say: Callable[[str], None]) -> None:
    addresses = list(found.values())[:MACHINES]
    each: dict[int, float] = {}
    for size in SIZES:
        say(f"{size} hosts, nothing to change")
        many = {f"host{number:03d}": addresses[number % MACHINES] for number in range(size)}
        played = play(ours(), many, forks=FORKS, tags=GROWTH_TAGS)
        each[size] = played.seconds / size
        figures = {"seconds in all": played.seconds, "seconds a host": each[size]}
        report.rows.append(Row(f"growth: {size} hosts, {FORKS} forks", OURS, figures))
    text = f"time of a host among {SIZES[-1]} against one among {SIZES[1]}"
    report.promises.append(Promise(text, each[SIZES[-1]] / each[SIZES[1]], FLAT_LIMIT, "x"))


def _site(report: Report, say: Callable[[str], None]) -> None:
    lab = config.from_environment()
    if not (lab.out / "timings.json").exists():
        report.remarks.append("site.yml was not measured: no lab is up (`make lab`, then again).")
        return
    program = str(PROJECT / ".venv/bin/ansible-playbook")
    command = [program, "site.yml", "-i", "inventories/lab"]
    say(SITE)
    played = play_with(command, environment(lab))
    changed = float(sum(played.changed.values()))
    report.rows.append(Row(SITE, OURS, {"seconds": played.seconds, "changed": changed}))
    say("how often each host is spoken to")
    # Not timed: at this level of talk Ansible tells every command that it sends.
    spoken = play_with(command, {**environment(lab), "ANSIBLE_VERBOSITY": "3"})
    for host, tasks in sorted(played.ran.items()):
        figures = {"tasks": float(tasks), "commands by ssh": float(spoken.commands.get(lab.address(host), 0))}
        report.rows.append(Row("in site.yml, nothing to change", host, figures))
    report.promises.append(Promise(SITE, played.seconds, SITE_SECONDS, "s"))
    report.promises.append(Promise("what it changed", changed, 0.0))
