"""One distillation of a tiny BERT, as a program: for several processes, and to be killed."""

import argparse
import json
import os
import signal

from safetensors.torch import save_file
from transformers import HfArgumentParser, TrainerCallback, TrainingArguments

from nlpcompress.methods import make_method
from nlpcompress.training import CompressionTrainer, last_checkpoint
from tests.unit.training.ragged_tiny import RaggedTokens, collate, token_bert
from tests.unit.training.training_tiny import Examples, teacher_of, tiny_bert


class KillAtStep(TrainerCallback):
    """SIGKILL after the optimizer's step, before the checkpoint of that step."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


class KilledWhileSaving(CompressionTrainer):
    """SIGKILL in a checkpoint: weights and optimizer are written, the rest is not."""

    kill_at = None

    def _save_rng_state(self, output_dir):
        if self.state.global_step == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        super()._save_rng_state(output_dir)


def main():
    own = argparse.ArgumentParser()
    own.add_argument("--weights", required=True)
    own.add_argument("--dropout", type=float, default=0.0)
    own.add_argument("--methods", type=json.loads, default={"logits": {}})
    own.add_argument("--rows", choices=["alike", "ragged"], default="alike")
    own.add_argument("--kill_step", type=int)
    own.add_argument("--kill_save", type=int)
    mine, theirs = own.parse_known_args()
    (args,) = HfArgumentParser(TrainingArguments).parse_args_into_dataclasses(theirs)
    ragged = mine.rows == "ragged"
    model = token_bert() if ragged else tiny_bert(dropout=mine.dropout)
    trainer = KilledWhileSaving(
        model,
        args,
        train_dataset=RaggedTokens(48) if ragged else Examples(48),
        data_collator=collate if ragged else None,
        methods=[make_method(name, config) for name, config in mine.methods.items()],
        teacher=teacher_of(model),
        callbacks=[KillAtStep(mine.kill_step)],
    )
    trainer.kill_at = mine.kill_save
    trainer.train(resume_from_checkpoint=last_checkpoint(args.output_dir))
    if trainer.is_world_process_zero():
        metadata = {
            "processes": str(trainer.accelerator.num_processes),
            "losses": json.dumps([line for line in trainer.state.log_history if "loss" in line]),
        }
        state = {name: value.contiguous() for name, value in trainer.model.state_dict().items()}
        save_file(state, mine.weights, metadata=metadata)
