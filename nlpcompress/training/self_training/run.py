"""Self-training: a teacher labels what nobody labelled, and a noised student learns from it.

In each round the teacher, clean, answers the unlabelled examples; of the confident answers a
balanced choice is mixed with the labelled examples; a new student of the same size or larger learns
the mix under noise of its inputs and of itself, and becomes the next round's teacher. The noise is
what lets it become better than its teacher.

    done = self_train(
        lambda: load_model("bert-base-uncased", task="text-classification", labels=labels),
        teacher,
        SelfTrainingData(labelled, unlabelled, collate, tokenizer),
        args=TrainingArguments("out", num_train_epochs=3),
        config=SelfTrainingConfig(rounds=2),
    )
    done.student

Source: Xie et al. 2020 ("Noisy Student"), algorithm 1 and section 3.1; Yarowsky 1995; Lee 2013.
Differs: labelled and pseudo-labelled examples are shuffled together, in the proportion of
`unlabelled_ratio`; the paper makes a batch of each for a step, and a mean loss of each. RandAugment
is left out: tokens are hidden, pictures moved and mirrored.
Cost: a teacher, unlabelled data; one training a round, one pass of the teacher over the data.
"""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn
from transformers import TrainingArguments

from nlpcompress.core.hashing import hash_tensors
from nlpcompress.errors import ConfigError
from nlpcompress.models.stored_teacher import StoredTeacher
from nlpcompress.scoring import same_randomness
from nlpcompress.training.checkpoints import last_checkpoint
from nlpcompress.training.numbered import CollateNumbered, Numbered
from nlpcompress.training.presets import preset_method
from nlpcompress.training.self_training.config import SelfTrainingConfig
from nlpcompress.training.self_training.data import PseudoLabelled, SelfTrainingData, repeats_for
from nlpcompress.training.self_training.folders import SelfTrainingFolders
from nlpcompress.training.self_training.input_noise import input_noise
from nlpcompress.training.self_training.model_noise import model_noise
from nlpcompress.training.self_training.pseudo_labels import pseudo_labels
from nlpcompress.training.self_training.selection import select
from nlpcompress.training.self_training.trainer import NoisyTrainer

SOFT_LABELS = {"temperature": 1.0, "alpha_ce": 1.0, "alpha_task": 0.0}


@dataclass(frozen=True)
class Round:
    """What a student learnt from: how many answers were confident, how many of each class taken."""

    number: int
    unlabelled: int
    confident: int
    per_class: tuple[int, ...]
    labelled_repeats: int


@dataclass(frozen=True)
class SelfTrained:
    """The last student, in eval mode, and the rounds that led to it."""

    student: nn.Module
    rounds: tuple[Round, ...]


def self_train(
    make_student: Callable[[], nn.Module],
    teacher: nn.Module,
    data: SelfTrainingData,
    *,
    args: TrainingArguments,
    config: SelfTrainingConfig,
    resume: bool = False,
    **trainer: Any,
) -> SelfTrained:
    """Train `config.rounds` students, each on what the one before made of the unlabelled rows.

    `make_student()` makes a new model, with the random state that `args.seed` and the round fix.
    `args` are those of each round, in `round-<k>` of the output folder. After a kill, `resume=True`
    goes on, to the same weights, from the last whole checkpoint of its round. What else the trainer
    takes (`eval_dataset`, `compute_metrics`, `callbacks`) is handed on.

    Raises `ConfigError` for a teacher that does not choose one class an example, and for a student
    that is not new or cannot have the noise; `DataError` when there is nothing to learn from;
    `FormatError` as told in `SelfTrainingFolders.open`.
    """
    run = SelfTraining(data, args, config, trainer)
    if args.process_index == 0:
        run.folders.open(run.description(teacher), resume=resume)
    rounds = []
    for number in range(config.rounds):
        student = run.new_student(make_student, teacher, number)
        rounds.append(run.round(number, teacher, student))
        teacher = student
    return SelfTrained(teacher, tuple(rounds))


@dataclass
class SelfTraining:
    """What all rounds have in common."""

    data: SelfTrainingData
    args: TrainingArguments
    config: SelfTrainingConfig
    trainer: dict[str, Any]

    def __post_init__(self) -> None:
        self.folders = SelfTrainingFolders(self.args.output_dir)
        self.input_noise = input_noise(self.config, self.data.tokenizer)

    def description(self, teacher: nn.Module) -> dict[str, Any]:
        """What must be the same when a killed run goes on."""
        return {
            "config": self.config.to_json(),
            "seed": self.args.seed,
            "labelled": len(self.data.labelled),
            "unlabelled": len(self.data.unlabelled),
            "teacher": hash_tensors(teacher.state_dict(), str(teacher)).hex()[:32],
        }

    def new_student(
        self, make: Callable[[], nn.Module], teacher: nn.Module, number: int
    ) -> nn.Module:
        """A student that shares nothing with its teacher. Raises `ConfigError`."""
        with same_randomness(self.args.seed + number):
            student = make()
        theirs = {id(parameter) for parameter in teacher.parameters()}
        if any(id(parameter) in theirs for parameter in student.parameters()):
            raise ConfigError(
                "make_student returned a model that shares parameters with its teacher; it must "
                "make a new model each time it is called (lambda: load_model(…))"
            )
        with self._noise(student):
            return student

    def round(self, number: int, teacher: nn.Module, student: nn.Module) -> Round:
        """Train the student, in place; or take what an earlier run came to."""
        if self.folders.is_over(number):
            report, weights = self.folders.read(number)
            student.load_state_dict(weights)
            student.to(self.args.device).eval()
            return Round(**{**report, "per_class": tuple(report["per_class"])})
        with self.args.main_process_first(local=False, desc="pseudo labels"):
            logits = self.folders.logits(number, partial(self._answers, teacher))
        data, report = self._data(number, logits)
        trainer = self._trainer(number, student, data, self._soft_teacher(teacher, data, logits))
        with self._noise(student):
            trainer.train(resume_from_checkpoint=last_checkpoint(trainer.args.output_dir))
        student.eval()
        trainer.accelerator.wait_for_everyone()
        if trainer.is_world_process_zero():
            self.folders.close(number, asdict(report), student.state_dict())
        trainer.accelerator.wait_for_everyone()
        return report

    def _noise(self, student: nn.Module) -> AbstractContextManager[None]:
        config = self.config
        return model_noise(student, dropout=config.dropout, survival=config.survival)

    def _answers(self, teacher: nn.Module) -> Tensor:
        return pseudo_labels(
            teacher,
            self.data.unlabelled,
            self.data.collate,
            batch_size=self.args.eval_batch_size,
            device=self.args.device,
        )

    def _data(self, number: int, logits: Tensor) -> tuple[PseudoLabelled, Round]:
        config = self.config
        selection = select(
            logits.softmax(-1).numpy(),
            threshold=config.threshold,
            balance=config.balance,
            per_class=config.per_class,
        )
        amount = len(selection.rows)
        repeats = repeats_for(len(self.data.labelled), amount, config.unlabelled_ratio)
        data = PseudoLabelled(self.data, selection, repeats=repeats)
        report = Round(number, len(logits), selection.confident, selection.per_class, repeats)
        return data, report

    def _soft_teacher(
        self, teacher: nn.Module, data: PseudoLabelled, logits: Tensor
    ) -> StoredTeacher | None:
        """A table of the probabilities to learn; none where labels alone are learnt."""
        if not self.config.soft:
            return None
        return StoredTeacher(teacher.config, {"logits": data.targets(logits)})

    def _trainer(
        self, number: int, student: nn.Module, data: PseudoLabelled, soft: StoredTeacher | None
    ) -> NoisyTrainer:
        args = copy.copy(self.args)
        args.output_dir, args.seed = str(self.folders.round(number)), self.args.seed + number
        collate = self.data.collate
        return NoisyTrainer(
            student,
            args,
            train_dataset=data if soft is None else Numbered(data),
            data_collator=collate if soft is None else CollateNumbered(collate),
            methods=[] if soft is None else [preset_method("logits", SOFT_LABELS)],
            teacher=soft,
            input_noise=self.input_noise,
            **self.trainer,
        )
