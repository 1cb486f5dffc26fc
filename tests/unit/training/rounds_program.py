"""A lottery ticket of a tiny BERT, as a program: for several processes, and to be killed."""

import argparse
import os
import signal

from safetensors.torch import save_file
from transformers import HfArgumentParser, TrainerCallback, TrainingArguments

from nlpcompress.methods import make_method
from nlpcompress.training import CompressionTrainer
from tests.unit.training.training_tiny import Examples, tiny_bert


class KillInRound(TrainerCallback):
    """SIGKILL after an optimizer step of a round."""

    def __init__(self, number, step):
        self.folder, self.step = f"round-{number}", step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step and args.output_dir.endswith(self.folder):
            os.kill(os.getpid(), signal.SIGKILL)


def main():
    own = argparse.ArgumentParser()
    own.add_argument("--weights", required=True)
    own.add_argument("--dropout", type=float, default=0.0)
    own.add_argument("--kill_round", type=int)
    own.add_argument("--kill_step", type=int)
    mine, theirs = own.parse_known_args()
    (args,) = HfArgumentParser(TrainingArguments).parse_args_into_dataclasses(theirs)
    trainer = CompressionTrainer(
        tiny_bert(dropout=mine.dropout),
        args,
        train_dataset=Examples(48),
        methods=[make_method("lottery_ticket", {"rounds": 2, "prune": 0.4, "rewind_to": 2})],
        callbacks=[KillInRound(mine.kill_round, mine.kill_step)],
    )
    trainer.train(resume_from_checkpoint=trainer.last_checkpoint())
    if trainer.is_world_process_zero():
        state = {name: value.contiguous() for name, value in trainer.model.state_dict().items()}
        save_file(
            state, mine.weights, metadata={"processes": str(trainer.accelerator.num_processes)}
        )
