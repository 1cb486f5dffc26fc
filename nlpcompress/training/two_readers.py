"""A Trainer whose batches have two readers: the student, and a teacher, or what it said."""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from nlpcompress.core.method import Method
from nlpcompress.data.pictures.mixup import SOFT_LABELS
from nlpcompress.models.inputs import accepts, input_names
from nlpcompress.training.numbered import CollateNumbered, Numbered
from nlpcompress.training.safe_checkpoints import SafeCheckpointTrainer
from nlpcompress.training.teacher import teacher_runner
from nlpcompress.training.teacher_answers import (
    TeacherData,
    refuse_other_tokens,
    require_answers,
    store_answers,
)


class TwoReadersTrainer(SafeCheckpointTrainer):
    """Gives each of both what it takes; `teacher` is None where there is none."""

    methods: tuple[Method, ...] = ()
    teacher: nn.Module | None = None

    def prediction_step(
        self,
        model: nn.Module,
        inputs: Mapping[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> Any:
        """As `Trainer`'s, without what only the teacher reads."""
        own = self._student_inputs(inputs)
        return super().prediction_step(model, own, prediction_loss_only, ignore_keys)

    def _teacher_runner(self) -> Callable[[Any], Any] | None:
        if self.teacher is None:
            return None
        return teacher_runner(self.teacher, self.label_names, precision=self.accelerator.autocast)

    def _student_inputs(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of the batch, without what only the teacher or the loss reads."""
        left_out = self._for_teacher_only | {SOFT_LABELS}
        return {name: value for name, value in inputs.items() if name not in left_out}

    @cached_property
    def _for_teacher_only(self) -> frozenset[str]:
        if self.teacher is None:
            return frozenset()
        return frozenset(n for n in input_names(self.teacher) if not accepts(self.model, n))

    def _student_collate(self, examples: list[Any]) -> dict[str, Any]:
        """What methods look at: examples as they are, where training changes them at random."""
        collate = getattr(self.data_collator, "unchanged", self.data_collator)
        return self._student_inputs(self._get_collator_with_removed_columns(collate)(examples))

    def _set_signature_columns_if_needed(self) -> None:
        """Keep the teacher's columns too: token types, for a DistilBERT student of a BERT."""
        missing = self._signature_columns is None
        super()._set_signature_columns_if_needed()
        if missing and self.teacher is not None:
            self._signature_columns += sorted(self._for_teacher_only)

    def _learn_from_answers(self, folder: Path, data: TeacherData | None) -> None:
        """Put the teacher's stored answers in its place."""
        require_answers(self.teacher, self.train_dataset, self.methods, data)
        features = {name for m in self.methods for name in m.looked_at(self.model, self.teacher)}
        dataset, collate = data or (self.train_dataset, self.data_collator)
        collate = self._get_collator_with_removed_columns(collate)
        if data is not None:
            refuse_other_tokens(self.teacher, collate([dataset[0]]), self.label_names)
        with self.args.main_process_first(local=False, desc="teacher's answers"):
            stored = store_answers(
                self.teacher,
                dataset,
                collate,
                folder,
                features=features,
                batch_size=self.args.eval_batch_size,
                label_names=self.label_names,
            )
        self.teacher = stored.to(self.args.device).eval()
        self.train_dataset = Numbered(self.train_dataset)
        self.data_collator = CollateNumbered(self.data_collator, stored.table)
        self._signature_columns = None
        self.__dict__.pop("_for_teacher_only", None)
