"""A plan: the ordered edits that turn one model into a smaller one, as a method decided them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nlpcompress.core.edits import EDITS, Edit
from nlpcompress.core.nearest import nearest
from nlpcompress.errors import ConfigError, PlanError


@dataclass(frozen=True)
class Plan:
    """An ordered tuple of edits. Indices of each edit mean "as the model is at that point".

    >>> plan = plan_from_json([{"op": "keep", "axis": "layers.0.heads", "indices": [0, 2]}])
    >>> (plan + Plan()).to_json()
    [{'op': 'keep', 'axis': 'layers.0.heads', 'indices': [0, 2]}]
    """

    edits: tuple[Edit, ...] = ()

    def __iter__(self) -> Iterator[Edit]:
        return iter(self.edits)

    def __len__(self) -> int:
        return len(self.edits)

    def __add__(self, other: "Plan") -> "Plan":
        return Plan(self.edits + other.edits)

    def to_json(self) -> list[dict[str, Any]]:
        """The JSON list that `plan_from_json` reads back to an equal plan."""
        return [edit.to_json() for edit in self.edits]


def plan_from_json(edits: str | Sequence[Mapping[str, Any]]) -> Plan:
    """Read a plan from a JSON list of edits, or from the text of one.

    Raises `PlanError` with every problem at once, each with the position of its edit.
    """
    values = _decode(edits) if isinstance(edits, str) else edits
    if not isinstance(values, Sequence):
        raise PlanError(f"a plan is a list of edits, got {type(values).__name__}")
    parsed: list[Edit] = []
    faults: list[str] = []
    for position, value in enumerate(values):
        try:
            parsed.append(_edit(value, f"edits.{position}"))
        except ConfigError as error:
            faults.append(str(error))
    if faults:
        raise PlanError("\n".join(faults))
    return Plan(tuple(parsed))


def _decode(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise PlanError(f"the plan is not JSON: {error}") from None


def _edit(value: Any, where: str) -> Edit:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: an edit is a mapping with an 'op', got {value!r}")
    op = value.get("op")
    if not isinstance(op, str) or op not in EDITS:
        raise ConfigError(f"{where}.op: unknown edit {op!r}{nearest(str(op), EDITS)}")
    return EDITS[op].parse(value, where=where)
