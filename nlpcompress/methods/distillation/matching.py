"""A student and its teacher, running side by side, with their features compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from nlpcompress.core import counts
from nlpcompress.core.method import Context, Objective, Progress, Step
from nlpcompress.errors import ConfigError
from nlpcompress.methods.distillation.comparing import (
    OF_ROWS,
    compare_attentions,
    compare_states,
    projected,
)
from nlpcompress.methods.distillation.match import Match
from nlpcompress.methods.distillation.projections import (
    head_projections,
    register,
    state_projection,
    unregister,
)
from nlpcompress.models.features import Features
from nlpcompress.models.stored_teacher import StoredFeatures, StoredTeacher, depth_of
from nlpcompress.scoring import example_outputs, same_randomness

NAME = "compression_features"
Place = int | str
Batch = Mapping[str, Tensor]
Pair = tuple[Place, Place]


class FeatureMatching(nn.Module):
    """Hooks on both models, and the projections, which the student holds while it trains.

    It holds them as `compression_features`, those of a second method as `compression_features_2`.
    """

    def __init__(
        self,
        student: nn.Module,
        ctx: Context,
        matches: Sequence[Match],
        *,
        proj_learning_rate: float,
    ) -> None:
        super().__init__()
        assert ctx.teacher is not None, "a method that needs a teacher was let through without one"
        self.matches, self._student = tuple(matches), (student,)
        self.learning_rate = proj_learning_rate
        self._name = _free_name(student)
        self._pairs = pairs_of(self.matches, student, ctx.teacher)
        with ExitStack() as undo:
            self._own = self._features(student, 0)
            undo.callback(self._own.close)
            self._theirs = self._features(ctx.teacher, 1)
            undo.callback(self._theirs.close)
            self.projections = self._made(student, ctx)
            undo.callback(unregister, student, self._path)
            self._hooks = undo.pop_all()
        student.add_module(self._name, self)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """One group of projections, or none."""
        parameters = list(self.parameters())
        group = {"params": parameters, "lr": self.learning_rate, "weight_decay": 0.0}
        return [group] if parameters else []

    def objectives(self) -> tuple[Objective, ...]:
        """One a match: `hidden_mse`, …; a second of the same kind is `hidden_mse_2`."""
        found: list[Objective] = []
        for number, match in enumerate(self.matches):
            before = sum(match.name == other.name for other in self.matches[:number])
            name = f"{match.name}_{before + 1}" if before else match.name
            loss = partial(self._loss, number)
            found.append(Objective(name, match.weight, loss, True, self._counts[number]))
        return tuple(found)

    def advance(self, progress: Progress) -> None:
        """Nothing moves but by training."""

    def close(self) -> None:
        """Take the hooks off both models, and the projections off the student."""
        self._hooks.close()
        delattr(self._student[0], self._name)

    @property
    def _path(self) -> str:
        """Where the projections are in the student."""
        return f"{self._name}.projections"

    def _features(self, model: nn.Module, side: int) -> Features | StoredFeatures:
        if isinstance(model, StoredTeacher):
            return model.features
        wanted: dict[bool, list[Any]] = {True: [], False: []}
        for match, pairs in zip(self.matches, self._pairs, strict=True):
            wanted[match.feature == "hidden"] += [pair[side] for pair in pairs]
        return Features(model, states=wanted[True], attentions=wanted[False])

    def _made(self, student: nn.Module, ctx: Context) -> nn.ModuleDict:
        """The projections, sized by a pass of the example through both models."""
        _run(student, ctx)
        _run(ctx.teacher, ctx)
        self._counts = [self._count(*each) for each in zip(self.matches, self._pairs, strict=True)]
        made = nn.ModuleDict()
        with torch.no_grad(), same_randomness(ctx.seed):
            for number, (match, pairs) in enumerate(zip(self.matches, self._pairs, strict=True)):
                if match.feature == "hidden":
                    states = [(self._own.state(a), self._theirs.state(b)) for a, b in pairs]
                    made.update(state_projection(match, states, number))
                else:
                    seen = [(self._own.attention(a), self._theirs.attention(b)) for a, b in pairs]
                    made.update(head_projections(match, seen, number))
        register(made, student, self._path)
        return made

    def _count(self, match: Match, pairs: list[Pair]) -> Callable[[Batch], Tensor]:
        """What the match's loss is a mean over."""
        if match.feature != "hidden":
            return counts.token_pairs if match.loss == "mse" else counts.tokens
        of_tokens = match.loss in OF_ROWS and self._own.state(pairs[0][0]).dim() == 3
        return counts.tokens if of_tokens else counts.examples

    def _loss(self, number: int, step: Step) -> Tensor:
        _ = step.teacher_outputs  # has the teacher run, and be read
        return self._mean(number, step.inputs.get("attention_mask"))

    def _mean(self, number: int, mask: Tensor | None) -> Tensor:
        """Over the pairs of a match."""
        pairs = enumerate(self._pairs[number])
        return torch.stack([self._compared(number, place, *p, mask) for place, p in pairs]).mean()

    def _compared(
        self, number: int, place: int, own: Place, theirs: Place, mask: Tensor | None
    ) -> Tensor:
        """One pair, in its place among those of its match."""
        match = self.matches[number]
        if match.feature == "hidden":
            state, project = self._own.state(own), self._projection(f"{number}")
            _check_gradient(state, match, own)
            state = state if project is None else projected(state, project)
            return compare_states(state, self._theirs.state(theirs), match.loss, mask)
        attentions = self._own.attention(own), self._theirs.attention(theirs)
        _check_gradient(attentions[0].queries, match, own)
        return compare_attentions(*attentions, match, mask, self._projection(f"{number}_{place}"))

    def _projection(self, name: str) -> nn.Module | None:
        return getattr(self.projections, name, None)


def pairs_of(matches: Sequence[Match], student: nn.Module, teacher: nn.Module) -> list[list[Pair]]:
    """Of each match the student's places, each with the teacher's."""
    by_depth = any(match.layers is not None for match in matches)
    depths = [depth_of(model) if by_depth else 0 for model in (student, teacher)]
    return [match.pairs(*depths) for match in matches]


def _free_name(student: nn.Module) -> str:
    """The first of `NAME`, `NAME_2`, … that the student has not."""
    if not hasattr(student, NAME):
        return NAME
    numbered = (f"{NAME}_{number}" for number in count(2))
    return next(name for name in numbered if not hasattr(student, name))


def _check_gradient(state: Tensor, match: Match, place: int | str) -> None:
    if torch.is_grad_enabled() and not state.requires_grad:
        raise ConfigError(
            f"{match.name}: the student's features at {place!r} carry no gradient, so nothing "
            "would be learnt from them: everything before is frozen, or gradient checkpointing is "
            "reentrant (set gradient_checkpointing_kwargs: {use_reentrant: false})"
        )


def _run(model: nn.Module, ctx: Context) -> None:
    """One pass over the example that the hooks read; stored features have one."""
    if not isinstance(model, StoredTeacher):
        example_outputs(model, ctx.example_inputs)
