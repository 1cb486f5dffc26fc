"""Temporary, trainable switches on the weights: on before a training, gone before saving."""

from nlpcompress.gates.cover import Cover, GatePlaces
from nlpcompress.gates.gate import ConcreteGate, FixedGate, Gate, ScoreGate
from nlpcompress.gates.gate_set import GateSet, Rule, ScheduledGates, expected_l0
from nlpcompress.gates.hard_concrete import HardConcrete
from nlpcompress.gates.rules import (
    keep_above,
    keep_above_sigmoid,
    keep_pattern,
    keep_share,
    keep_share_of_all,
)
from nlpcompress.gates.schedule import CubicSchedule

__all__ = [
    "ConcreteGate",
    "Cover",
    "CubicSchedule",
    "FixedGate",
    "Gate",
    "GatePlaces",
    "GateSet",
    "HardConcrete",
    "Rule",
    "ScheduledGates",
    "ScoreGate",
    "expected_l0",
    "keep_above",
    "keep_above_sigmoid",
    "keep_pattern",
    "keep_share",
    "keep_share_of_all",
]
