"""A student and its teacher, running side by side, with their features compared."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nlpcompress.core.method import Context, Objective, Progress, Step
from nlpcompress.errors import ConfigError
from nlpcompress.methods.distillation.comparing import compare_attentions, compare_states
from nlpcompress.methods.distillation.match import Match
from nlpcompress.methods.distillation.projections import new_projection, register, unregister
from nlpcompress.models.features import Features
from nlpcompress.models.inputs import accepts
from nlpcompress.models.layers import layers_of
from nlpcompress.scoring import on_device_of, same_randomness

if TYPE_CHECKING:
    from nlpcompress.methods.distillation.features import FeaturesConfig

NAME = "compression_features"
PATH = f"{NAME}.projections"
Place = int | str
Pair = tuple[Place, Place]


class FeatureMatching(nn.Module):
    """Hooks on both models, and the projections, which the student holds while it trains."""

    def __init__(self, student: nn.Module, ctx: Context, config: FeaturesConfig) -> None:
        super().__init__()
        assert ctx.teacher is not None, "a method that needs a teacher was let through without one"
        self.matches, self._student = config.intermediate_matches, (student,)
        self.learning_rate = config.proj_learning_rate
        depths = [_depth(model) if self._by_depth else 0 for model in (student, ctx.teacher)]
        self._pairs: list[list[Pair]] = [match.pairs(*depths) for match in self.matches]
        with ExitStack() as undo:
            self._own = self._features(student, 0)
            undo.callback(self._own.close)
            self._theirs = self._features(ctx.teacher, 1)
            undo.callback(self._theirs.close)
            self.projections = self._made(student, ctx)
            undo.callback(unregister, student, PATH)
            self._hooks = undo.pop_all()
        student.add_module(NAME, self)

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
            found.append(Objective(name, match.weight, loss, needs_teacher=True))
        return tuple(found)

    def advance(self, progress: Progress) -> None:
        """Nothing moves but by training."""

    def close(self) -> None:
        """Take the hooks off both models, and the projections off the student."""
        self._hooks.close()
        delattr(self._student[0], NAME)

    @property
    def _by_depth(self) -> bool:
        return any(match.layers is not None for match in self.matches)

    def _features(self, model: nn.Module, side: int) -> Features:
        wanted: dict[bool, list[Any]] = {True: [], False: []}
        for match, pairs in zip(self.matches, self._pairs, strict=True):
            wanted[match.feature == "hidden"] += [pair[side] for pair in pairs]
        return Features(model, states=wanted[True], attentions=wanted[False])

    def _made(self, student: nn.Module, ctx: Context) -> nn.ModuleDict:
        """The projections, sized by a pass of the example through both models."""
        _run(student, ctx)
        _run(ctx.teacher, ctx)
        made = nn.ModuleDict()
        with torch.no_grad(), same_randomness(ctx.seed):
            for number, (match, pairs) in enumerate(zip(self.matches, self._pairs, strict=True)):
                if match.feature == "hidden":
                    states = [(self._own.state(a), self._theirs.state(b)) for a, b in pairs]
                    made.update(new_projection(match, states, number))
                else:
                    self._mean(number, None)
        register(made, student, PATH)
        return made

    def _loss(self, number: int, step: Step) -> Tensor:
        _ = step.teacher_outputs  # has the teacher run, and be read
        return self._mean(number, step.inputs.get("attention_mask"))

    def _mean(self, number: int, mask: Tensor | None) -> Tensor:
        """Over the pairs of a match."""
        compare = self._states if self.matches[number].feature == "hidden" else self._attentions
        return torch.stack([compare(number, *pair, mask) for pair in self._pairs[number]]).mean()

    def _states(self, number: int, own: Place, theirs: Place, mask: Tensor | None) -> Tensor:
        state, match = self._own.state(own), self.matches[number]
        _check_gradient(state, match, own)
        if str(number) in self.projections:
            state = self.projections[str(number)](state)
        return compare_states(state, self._theirs.state(theirs), match.loss, mask)

    def _attentions(self, number: int, own: Place, theirs: Place, mask: Tensor | None) -> Tensor:
        pair = self._own.attention(own), self._theirs.attention(theirs)
        return compare_attentions(*pair, self.matches[number], mask)


def _check_gradient(state: Tensor, match: Match, place: int | str) -> None:
    if torch.is_grad_enabled() and not state.requires_grad:
        raise ConfigError(
            f"{match.name}: the student's features at {place!r} carry no gradient, so nothing "
            "would be learnt from them: everything before is frozen, or gradient checkpointing is "
            "reentrant (set gradient_checkpointing_kwargs: {use_reentrant: false})"
        )


def _run(model: nn.Module, ctx: Context) -> None:
    """One pass over the example, in eval mode, that the hooks read."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            known = {k: v for k, v in ctx.example_inputs.items() if accepts(model, k)}
            model(**on_device_of(model, known))
    finally:
        model.train(training)


def _depth(model: nn.Module) -> int:
    return len(layers_of(model)[1])
