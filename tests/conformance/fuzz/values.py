"""Values that a JSON schema allows, chosen by a generator of random numbers."""

from __future__ import annotations

import re
from random import Random
from typing import Any

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
WORDS = ("fração", "Água", "lesson", "1/2 > 1/3", "𝒙²", "línea\nnueva", "日本語", "", "a" * 40)
MOST_ITEMS = 4
DEEPEST = 8


def value(random: Random, schema: Any, root: dict[str, Any], depth: int = 0) -> Any:
    """Return a value for a schema; ``root`` is where its references point to."""
    if not isinstance(schema, dict) or not schema:
        return random.choice([None, 1, "x", [], {}])
    if "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return value(random, target, root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return random.choice(schema["enum"])
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            # Deep inside, the last choice: with recursive schemas that is the one that ends (null, a leaf).
            options = schema[choice]
            return value(random, options[-1] if depth > DEEPEST else random.choice(options), root, depth + 1)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return _OF_TYPE[random.choice(kind) if isinstance(kind, list) else kind](random, schema, root, depth)


def _object(random: Random, schema: dict[str, Any], root: dict[str, Any], depth: int) -> dict[str, Any]:
    required = set(schema.get("required", ()))
    chosen: dict[str, Any] = {}
    for name, inner in schema.get("properties", {}).items():
        if name in required or (depth < DEEPEST and random.random() < 0.5):
            chosen[name] = value(random, inner, root, depth + 1)
    return chosen


def _array(random: Random, schema: dict[str, Any], root: dict[str, Any], depth: int) -> list[Any]:
    least = schema.get("minItems", 0)
    most = max(least, min(schema.get("maxItems", MOST_ITEMS), MOST_ITEMS if depth < DEEPEST else 0))
    return [value(random, schema.get("items"), root, depth + 1) for _ in range(random.randint(least, most))]


def _string(random: Random, schema: dict[str, Any], _root: dict[str, Any], _depth: int) -> str:
    if schema.get("format") == "uuid":
        return f"{random.getrandbits(128):032x}"
    least, most = schema.get("minLength", 0), schema.get("maxLength", 60)
    text = _matching(random, schema["pattern"]) if "pattern" in schema else random.choice(WORDS)
    filler = LETTERS if "pattern" in schema else LETTERS + " çãé"
    while len(text) < least:
        text += random.choice(filler)
    return text[:most]


def _matching(random: Random, pattern: str) -> str:
    """Return a text for a pattern that is one character class, as all of ours are; else whatever."""
    found = re.fullmatch(r"\^?(\[[^]]+\])[*+]?(\{.*\})?\$?", pattern)
    if found is None:
        return "lesson:x"
    allowed = [letter for letter in LETTERS + ".:=" if re.fullmatch(found[1], letter)]
    return "".join(random.choices(allowed, k=random.randint(1, 12)))


def _integer(random: Random, schema: dict[str, Any], _root: dict[str, Any], _depth: int) -> int:
    least = int(schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1))
    return random.randint(least, int(max(least, schema.get("maximum", least + 10))))


def _number(random: Random, schema: dict[str, Any], root: dict[str, Any], depth: int) -> float:
    return _integer(random, schema, root, depth) + random.choice([0.0, 0.5])


_OF_TYPE: dict[str, Any] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": lambda random, *_: random.random() < 0.5,
    "null": lambda *_: None,
}
