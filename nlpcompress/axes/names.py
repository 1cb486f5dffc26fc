"""Names by role: where in the model an axis is made, and what kind it is.

`bert.encoder.layer.0.attention.self.query` and `vit.layers.0.attention.q_proj` both make
`layers.0.heads`: the class's own prefix, the containers that all stacks share and the inner
modules of a layer say nothing about the role.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import takewhile

STACKS = {
    "albert_layer_groups": "groups",
    "albert_layers": "layers",
    "block": "layers",
    "blocks": "layers",
    "h": "layers",
    "layer": "layers",
    "stage": "stages",
}
INNER = ("albert_layers", "blocks", "layers")
CROSS = re.compile(r"cross|encdec|encoder_attn", re.IGNORECASE)

Scope = tuple[str, ...]


class Scopes:
    """Module paths → scopes, for one model.

    Of `encoder.block.0.layer.1.x` and `decoder.block.0.layer.1.x` the containers `encoder` and
    `decoder` differ, so they stay: `encoder.layers.0`, `decoder.layers.0`.
    """

    def __init__(self, paths: Iterable[str], prefix: str) -> None:
        self._prefix = prefix
        parts = [self._parts(path) for path in paths]
        self._shared = common(sorted({containers for containers, stack in parts if stack}))

    def of(self, path: str) -> Scope:
        """`('layers.0',)`, `('stages.0', 'layers.1')`, `('pooler',)` or `()`."""
        containers, stack = self._parts(path)
        if self._shared == containers[: len(self._shared)]:
            containers = containers[len(self._shared) :]
        return containers + stack if stack else containers[:1]

    def _parts(self, path: str) -> tuple[Scope, Scope]:
        """The containers before the first numbered module, and the numbered ones that count."""
        tokens = [token for token in path.split(".") if token]
        tokens = tokens[1:] if tokens[:1] == [self._prefix] and len(tokens) > 1 else tokens
        places = [i for i, token in enumerate(tokens[:-1]) if token.isdigit() and i > 0]
        if not places:
            return tuple(tokens[:-1]) or tuple(tokens), ()
        kept = [i for i in places[:2] if i == places[0] or tokens[i - 1] in INNER]
        stack = tuple(f"{STACKS.get(tokens[i - 1], tokens[i - 1])}.{tokens[i]}" for i in kept)
        return tuple(tokens[: places[0] - 1]), stack


def common(scopes: Sequence[Scope]) -> Scope:
    """The longest shared beginning."""
    if not scopes:
        return ()
    columns = zip(*scopes, strict=False)
    return tuple(column[0] for column in takewhile(lambda c: len(set(c)) == 1, columns))


def role_name(kind: str, paths: Iterable[str]) -> str:
    """Heads that look at another sequence are told apart."""
    is_heads = kind in ("heads", "kv_heads", "head_dim")
    return f"cross_{kind}" if is_heads and all(CROSS.search(path) for path in paths) else kind


def numbered(names: Iterable[str]) -> list[str]:
    """A name's second and later bearers get `_2`, `_3` …"""
    seen: Counter[str] = Counter()
    result = []
    for name in names:
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return result
