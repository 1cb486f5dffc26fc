"""Finds the statistics of batch norms anew, as a network that was cut has others.

A smaller network inside a `supernet` has learnt with each batch's own statistics; those that are
stored are the whole network's, and most of a narrow one's quality is lost by them. Channels that
are cut out of a network which has not learnt to do without them gain little.

    - method: recalibrate_norms

Source: Yu and Huang 2019 (Universally Slimmable Networks), "Post-Statistics of Batch
Normalization": a network's statistics are found after the training, as it is taken out.
Differs: nothing; the plain mean over batches is theirs, too.
Cost: data (`num_samples` examples), one forward pass a batch; no labels, no training.
"""

from typing import ClassVar

from pydantic import Field
from torch import nn

from nlpcompress.core.config import Config
from nlpcompress.core.method import Context, Method
from nlpcompress.core.plan import Plan
from nlpcompress.errors import PlanError
from nlpcompress.models.norm_statistics import renew_statistics, running_norms
from nlpcompress.scoring import first_examples, on_device_of


class RecalibrateNormsConfig(Config):
    """What is looked at."""

    num_samples: int = Field(2048, ge=2, description="training examples")


class RecalibrateNorms(Method):
    """Cuts nothing: batch norms have the statistics of the model as it is."""

    name: ClassVar[str] = "recalibrate_norms"
    Config: ClassVar[type[RecalibrateNormsConfig]] = RecalibrateNormsConfig
    adjusts: ClassVar[bool] = True
    needs_batches: ClassVar[bool] = True

    def plan(self, model: nn.Module, ctx: Context) -> Plan:
        """The empty plan, once statistics are renewed in place.

        Raises `PlanError` for a model without batch norms.
        """
        if not running_norms(model):
            raise PlanError(
                "recalibrate_norms: the model has no batch norms, so there is nothing to "
                "recalibrate; leave the stage out"
            )
        if not ctx.sizes_only:
            examples = first_examples(ctx.batches(), self.config.num_samples)
            renew_statistics(model, (on_device_of(model, batch) for batch in examples))
        return Plan()
