"""Ways to spoil a JSON value: each takes a place inside it and puts something there that does not belong."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

Damage = Callable[[Random, Any], Any]

HOSTILE_TEXTS = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "javascript:alert(1)", "\u0000", "\ud800",
    "\u202e reversed", "../../etc/passwd", "%00", "'; drop table job; --", "{{7*7}}", "${jndi:ldap://x}",
    "\r\nX-Injected: 1", "🂡" * 50, "é" * 3000, "e\u0301" * 100, "\ufeff", "-1", "NaN", "null", "true",
)  # fmt: skip
WRONG = (
    None, True, False, 0, -1, 1.5, 10**30, -(10**30), float("inf"), float("nan"), "", "x", [], {}, [[]],
    [None], {"": ""}, {"__proto__": {"a": 1}}, {"$ref": "#"}, "9" * 400, "2026-13-45T99:99:99Z",
)  # fmt: skip


def nested(depth: int) -> Any:
    """Return lists in lists."""
    inner: Any = []
    for _ in range(depth):
        inner = [inner]
    return inner


def another_type(random: Random, _old: Any) -> Any:
    """Something of another type."""
    return random.choice(WRONG)


def hostile_text(random: Random, _old: Any) -> Any:
    """A text that would hurt somebody careless."""
    return random.choice(HOSTILE_TEXTS)


def huge(random: Random, old: Any) -> Any:
    """Much of the same."""
    times = random.choice([100, 10_000])
    if isinstance(old, list):
        # Not what is in it already: that may be huge itself, and the product would stop us, not the server.
        return [random.choice([0, "x", {}, []])] * times
    if isinstance(old, dict):
        return old | {f"k{number}": number for number in range(times // 10)}
    return "x" * times * 10


def deep(random: Random, _old: Any) -> Any:
    """Lists in lists."""
    return nested(random.choice([20, 200, 400]))


def wrapped(random: Random, old: Any) -> Any:
    """What belongs here, one level too deep."""
    return random.choice([[old], {"value": old}])


def without_a_field(random: Random, old: Any) -> Any:
    """An object that lacks a field; another value, with nothing in it."""
    if isinstance(old, dict) and old:
        gone = random.choice(list(old))
        return {name: value for name, value in old.items() if name != gone}
    return [] if isinstance(old, list) else None


def with_a_field(random: Random, old: Any) -> Any:
    """An object that has a field too many."""
    name = random.choice(["extra", "uid ", "Title", "_meta", "kind", "x" * 500, "", "constructor"])
    return {**old, name: random.choice(WRONG)} if isinstance(old, dict) else {name: old}


ALL: tuple[Damage, ...] = (
    another_type, hostile_text, huge, deep, wrapped, without_a_field, without_a_field, with_a_field,
)  # fmt: skip


def spoil(random: Random, value: Any) -> tuple[Any, str]:
    """Return a copy of a value, spoilt at one place, and how it was spoilt."""
    damage = random.choice(ALL)
    return _at_a_place(random, value, damage), damage.__name__


def _at_a_place(random: Random, value: Any, damage: Damage) -> Any:
    if isinstance(value, dict) and value and random.random() < 0.75:
        name = random.choice(list(value))
        return {**value, name: _at_a_place(random, value[name], damage)}
    if isinstance(value, list) and value and random.random() < 0.75:
        index = random.randrange(len(value))
        return [*value[:index], _at_a_place(random, value[index], damage), *value[index + 1 :]]
    return damage(random, value)
