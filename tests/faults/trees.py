"""Damage to the meaning of JSON and YAML files: values, keys and shapes that nobody expects."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import yaml

from tests.faults.damage import Damage, outside

NAMES = (
    "../../outside/secret.png", "../outside/secret", "/etc/passwd", "/outside/secret.png", "train/../../secret.png",
    "..", ".", "/", "", " ", "~/secret.png", "file:///etc/passwd", "a\nb.png", "a\rb.png", "a\tb.png", "nul\0.png",
    "\x1b[2J.png", "\ud800.png", "x" * 300, "x" * 251 + ".png", "d/" * 300 + "x.png",
    "<script>x</script>", "=1+1.png", "[/red].png", "${oc.env:HOME}", "C:\\x.png", "con", "train/", "./././r_0.png",
)  # fmt: skip
NUMBERS = (
    0, -1, -0.5, 1e-300, 1e-30, 1e30, 1e300, 1e308, -1e308, float("nan"), float("inf"), float("-inf"), 2**31, 2**63,
    2**64, 10**18, 10**400, 3.2, 0.1, 1e6,
)  # fmt: skip
OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [[]], [0] * 3, {"a": 1}, "1", "nan", [None] * 5, [[0.0] * 4] * 4)


def deep(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


def evil(rng: Random) -> Any:
    """A value that nobody expects there."""
    return rng.choice((
        lambda: rng.choice(NAMES), lambda: rng.choice(NUMBERS), lambda: rng.choice(NUMBERS), lambda: rng.choice(OTHERS),
        lambda: deep(rng.choice((50, 300))), lambda: [0] * 200_000, lambda: "y" * 200_000,
    ))()  # fmt: skip


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Ways to every value below ``tree``."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    found = [path] if path else []
    for key, value in items:
        found += places(value, (*path, key))
    return found


def same_kind(value: Any, rng: Random) -> Any:
    """Of the type that is expected, but of a size that is not."""
    if isinstance(value, str):
        return rng.choice(NAMES)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return evil(rng)
    return rng.choice((*NUMBERS, -value, value * 1e6, value * 1e-6))


def spoil(tree: Any, rng: Random) -> tuple[Any, str]:
    """``tree`` with one thing wrong, and what."""
    ways = places(tree)
    if not ways or rng.random() < 0.03:
        return evil(rng), "the whole is something else"
    way = rng.choice(ways) if rng.random() < 0.7 else rng.choice(sorted(ways, key=len)[: max(1, len(ways) // 10)])
    parent = tree
    for key in way[:-1]:
        parent = parent[key]
    last, what = way[-1], rng.choice(("evil", "same kind", "same kind", "gone", "again", "renamed", "swapped"))
    if what == "gone":
        del parent[last]
    elif what == "again" and isinstance(parent, list):
        parent.insert(last, parent[last])
    elif what == "renamed" and isinstance(parent, dict):
        parent[rng.choice(NAMES)] = parent.pop(last)
    elif what == "swapped":
        other = rng.choice(list(parent) if isinstance(parent, dict) else range(len(parent)))
        parent[last], parent[other] = parent[other], parent[last]
    else:
        parent[last] = evil(rng) if what == "evil" else same_kind(parent[last], rng)
        return tree, f"{'.'.join(map(str, way))} is {repr(parent[last])[:60]}"
    return tree, f"{'.'.join(map(str, way))}: {what}"


def _rewritten(load: Callable[[str], Any], dump: Callable[[Any], str]) -> Damage:
    def damage(path: Path, rng: Random) -> str:
        try:
            tree = load(path.read_text(encoding="utf-8"))
        except (ValueError, yaml.YAMLError, RecursionError):
            return "nothing: it is damaged already"
        tree, said = spoil(tree, rng)
        path.write_text(dump(tree), encoding="utf-8", errors="surrogatepass")
        return said

    return damage


def json_text(path: Path, rng: Random) -> str:
    """What only the text of a JSON file can have."""
    text = path.read_text(encoding="utf-8", errors="replace")
    what = rng.choice(("deep", "key twice", "many keys", "comment", "BOM", "UTF-16", "long number", "lists", "NUL"))
    made = {
        "deep": "[" * 100_000,
        "key twice": text.replace("{", '{"frames": [], "frames": [], ', 1),
        "many keys": "{" + ", ".join(f'"{i}": 0' for i in range(200_000)) + ', "199999": 1}',
        "comment": "// a comment\n" + text,
        "BOM": "\ufeff" + text,
        "long number": text.replace("0", "1" * 5000, 1),
        "lists": '{"frames": [' + "[]," * 1_000_000 + "[]]}",
        "NUL": text.replace(":", ":\0", 1),
    }.get(what, text)
    path.write_text(made, encoding="utf-16" if what == "UTF-16" else "utf-8")
    return what


def yaml_text(path: Path, rng: Random) -> str:
    """What only the text of a YAML file can have: aliases that grow, tags that would run code, interpolations."""
    text = path.read_text(encoding="utf-8", errors="replace")
    mark = outside(path) / "ran"
    node = f"\n    _target_: os.system\n    command: touch {mark}"
    laughs = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]" if i else "l0: &l0 [a, a]" for i in range(12))
    what, made = rng.choice([
        ("aliases that grow", f"{laughs}\n{text}"),
        ("alias of itself", f"x: &x [*x]\n{text}"),
        ("tag that runs", f'x: !!python/object/apply:os.system ["touch {mark}"]\n{text}'),
        ("tag of a name", f"x: !!python/name:os.system\n{text}"),
        ("deep", "x: " + "[" * 5000 + "]" * 5000 + "\n" + text),
        ("target", text.replace("callbacks:", f"callbacks:\n  x:{node}", 1)),
        ("logger", text.replace("logger: {}", f"logger:\n  x:{node}", 1)),
        ("interpolation", text.replace("scene: ", "scene: ${oc.env:HOME}", 1)),
        ("interpolation of itself", text.replace("scene: ", "scene: ${scene}", 1)),
        ("merge keys", f"a: &a {{b: 1}}\n<<: *a\n{text}"),
        ("date", f"x: 2020-99-99\n{text}"),
        ("two documents", f"{text}\n---\n{text}"),
        ("another place", text.replace("output_root: ", "output_root: /elsewhere", 1)),
        ("another name", text.replace("name: ", "name: another", 1)),
    ])  # fmt: skip
    path.write_text(made, encoding="utf-8")
    return what


json_tree = _rewritten(json.loads, lambda tree: json.dumps(tree))
yaml_tree = _rewritten(yaml.safe_load, lambda tree: yaml.safe_dump(tree, sort_keys=False))
JSON: tuple[Damage, ...] = (json_tree,) * 6 + (json_text,)
YAML: tuple[Damage, ...] = (yaml_tree,) * 4 + (yaml_text,) * 3
