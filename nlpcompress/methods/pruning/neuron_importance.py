"""Cuts the feed-forward neurons that the loss is least sensitive to, ranked over the whole model.

A neuron's importance is the mean over examples of |∂L/∂ξ|, ξ a gate of 1 on its activation. Only
the feed-forward networks of the layers are cut, unless `everywhere`; gated ones lose both halves.

    - method: neuron_importance
      config: {keep: 0.5, round_to: 8}

Source: Molchanov et al. 2017, equation 8 (Taylor criterion on activations) with their L2
normalisation by layer; Michel et al. 2019 for the gates.
Differs: neurons instead of feature maps; gradients add up over an example's tokens (the paper
averages over places); ranked once instead of a few at a time between training steps (`rounds`
scores again).
Cost: labelled data (`num_samples` examples a round); no teacher; no training, though a recipe
should train afterwards; one backward pass a batch, with frozen weights.
"""

from typing import ClassVar

from pydantic import Field
from torch import nn

from nlpcompress.axes import find_axes
from nlpcompress.core.method import Context, Method
from nlpcompress.core.plan import Plan
from nlpcompress.methods.pruning.importance import ScoringConfig, final_scores
from nlpcompress.methods.pruning.layer_axes import neurons_to_cut
from nlpcompress.methods.pruning.ranking import Kept, Scores, keep_best, keep_plan
from nlpcompress.scoring import on_device_of


class NeuronImportanceConfig(ScoringConfig):
    """How many neurons stay, and how they are scored."""

    keep: float = Field(0.5, gt=0, le=1, description="fraction of all neurons to keep")
    min_keep: int = Field(1, ge=1, description="neurons to keep at least in every layer")
    round_to: int = Field(
        8, ge=1, description="each layer keeps a multiple of this many neurons, or all of them"
    )
    everywhere: bool = Field(
        False, description="also cut neurons outside the layers: poolers and task heads"
    )


class NeuronImportance(Method):
    """Decides on feed-forward neurons by the gradient of gates."""

    name: ClassVar[str] = "neuron_importance"
    Config: ClassVar[type[NeuronImportanceConfig]] = NeuronImportanceConfig
    cuts: ClassVar[bool] = True
    needs_batches: ClassVar[bool] = True
    stores_scores: ClassVar[bool] = True

    def plan(self, model: nn.Module, ctx: Context) -> Plan:
        """One `keep` edit for each layer that loses neurons. Raises `PlanError` if none can."""
        found = find_axes(model, on_device_of(model, ctx.example_inputs))
        axes = neurons_to_cut(found, everywhere=self.config.everywhere)
        scores = final_scores(model, axes, ctx, config=self.config, choose=self._choose)
        return decide(scores, self.config)

    def _choose(self, scores: Scores, keep: float) -> Kept:
        config = self.config
        return keep_best(scores, keep=keep, min_keep=config.min_keep, round_to=config.round_to)


def decide(scores: Scores, config: NeuronImportanceConfig) -> Plan:
    """Keep the best neurons: axis name → score of each neuron, to `keep` edits."""
    kept = keep_best(scores, keep=config.keep, min_keep=config.min_keep, round_to=config.round_to)
    return keep_plan(scores, kept)
