"""A transformers Trainer whose checkpoints are whole or not there, and resumed only when whole."""

from pathlib import Path
from typing import Any

from torch import nn
from torch.utils.data import RandomSampler, Sampler
from transformers import Trainer
from transformers.trainer_pt_utils import LengthGroupedSampler

from nlpcompress.errors import FormatError
from nlpcompress.training.blocks import Blocks
from nlpcompress.training.checkpoints import (
    last_checkpoint,
    mark_complete,
    require_complete,
    rotate,
    unmark,
)
from nlpcompress.training.length_groups import LengthGroups


class SafeCheckpointTrainer(Trainer):
    """Checkpoints get a marker when all of them is on the disk; older ones go only after that.

    Batches by length come in an order that a resumed training finds again, and so do examples that
    are drawn `together`, so many in a row.
    """

    together: int = 1

    def _get_train_sampler(self, *args: Any) -> Sampler | None:
        sampler = super()._get_train_sampler(*args)
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        if isinstance(sampler, LengthGroupedSampler):
            return LengthGroups(sampler, seed=seed)
        if self.together > 1 and isinstance(sampler, RandomSampler):
            return Blocks(len(self.train_dataset), size=self.together, seed=seed)
        return sampler

    def _checkpoint(self, asked: str | bool | None) -> str | None:
        if not asked:
            return None
        if asked is not True:
            return require_complete(asked)
        found = last_checkpoint(self.args.output_dir)
        if found is None:
            raise FormatError(
                f"no whole checkpoint in '{self.args.output_dir}' to resume from; "
                "train without resume_from_checkpoint to start anew"
            )
        return found

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """As `Trainer`'s, then the marker, then older checkpoints go."""
        folder = Path(self._get_output_dir(trial=trial))
        checkpoint = folder / f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            unmark(checkpoint)
        self.accelerator.wait_for_everyone()
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self.args.save_total_limit = limit
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            mark_complete(checkpoint)
            rotate(folder, limit=limit, best=self.state.best_model_checkpoint)
