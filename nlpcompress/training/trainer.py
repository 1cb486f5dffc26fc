"""A transformers Trainer that learns from objectives and a teacher, and cuts as methods decide."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn
from transformers.trainer_utils import TrainOutput

from nlpcompress.core.method import Gates, Method, Objective, Step
from nlpcompress.core.modes import untrained
from nlpcompress.core.plan import Plan, plan_from_json
from nlpcompress.errors import DataError
from nlpcompress.models.tokenizers import fit_tokenizer
from nlpcompress.models.zeros import weights_with_zeros
from nlpcompress.scoring import on_device_of, same_randomness
from nlpcompress.surgery import apply_plan
from nlpcompress.training.checkpoints import last_checkpoint
from nlpcompress.training.context import Batches, make_context
from nlpcompress.training.finished import NothingLeftError, StopWhenOver
from nlpcompress.training.gating import (
    AdvanceGates,
    KeepZeros,
    prepare_gates,
    progress_of,
    refuse_other_models,
    refuse_own_optimizer,
)
from nlpcompress.training.objectives import (
    TASK,
    ObjectiveMeter,
    collect_objectives,
    refuse_checkpointing,
    weighted_sum,
)
from nlpcompress.training.order_objective import ORDER, split_order
from nlpcompress.training.plain_forward import restore_forward
from nlpcompress.training.rounds import RoundFolders, TrainingRounds, method_of_rounds
from nlpcompress.training.shares import KEY, add_shares, shared
from nlpcompress.training.soft_labels import of_soft_labels
from nlpcompress.training.teacher import prepare_teacher, require_teacher
from nlpcompress.training.teacher_answers import TeacherData
from nlpcompress.training.two_readers import TwoReadersTrainer
from nlpcompress.training.whole_weights import refuse_sharding


class CompressionTrainer(TwoReadersTrainer):
    """`transformers.Trainer`, with `methods` to teach and to cut, and a `teacher` to learn from.

    It takes everything `Trainer` takes. The loss is Σ weight · objective of all methods, the task's
    own with weight 1 unless a method weighs it; each is logged unweighted as `loss_<name>`. In
    evaluation the loss is the task's alone. Losses are means over a step: 8×1, 4×2, 1×8 examples,
    of whatever lengths, on one process or more, are the same, but for relations between examples.

    The teacher stays in eval mode and is never wrapped, trained or saved. With `bf16` or `fp16` it
    runs in that precision, too, stored answers aside; losses are computed in float32, and after
    `train()` the model computes in its own precision again. Checkpoints count only when they are
    whole; `train(resume_from_checkpoint=True)` takes the last whole one. A method that asks for
    several trainings gets them in `round-0`, `round-1`, … of `output_dir`.

        trainer = CompressionTrainer(model, args, train_dataset=data, methods=[method])
        trainer.train()
        model = trainer.compress()

    With `teacher_cache` the teacher answers the training examples once, into that folder or from
    it, and steps read its answers, and in float16 what methods look at inside of it: no forward
    pass of it, and no room for it on the device. With `score_cache` methods may store there, and
    take from there, scores that are costly, such as the sensitivities of `hessian_mixed`.

    A teacher of other tokens answers from `teacher_data`: the training examples in their order, as
    its tokenizer has them, and what makes batches of them. It needs `teacher_cache`, and one answer
    an example, not one a token.

    `together` training examples in a row are drawn into one batch, such as a pair in both orders,
    if their number divides the batch size; batches by length go before it.

    Several processes train by data parallelism (DDP), each with the whole model.

    Raises `ConfigError` when a method needs a teacher and there is none, teacher and student do
    not fit together, answers cannot be stored, or FSDP or DeepSpeed would shard the model.
    """

    def __init__(
        self,
        *args: Any,
        methods: Sequence[Method] = (),
        teacher: nn.Module | Sequence[nn.Module] | None = None,
        teacher_cache: str | Path | None = None,
        teacher_data: TeacherData | None = None,
        score_cache: str | Path | None = None,
        together: int = 1,
        **kwargs: Any,
    ) -> None:
        teacher = require_teacher(methods, teacher)
        super().__init__(*args, **kwargs)
        refuse_sharding(self)
        # An encoder's loss is a plain mean, although its forward has **kwargs: with True, Trainer
        # multiplies it by the accumulation steps and the processes (transformers 5).
        self.model_accepts_loss_kwargs = False
        self.methods = tuple(methods)
        self.teacher = teacher
        self.plan = Plan()
        self.score_cache = score_cache
        self.together = together
        self.gates: Gates | None = None
        self._rounds: TrainingRounds | None = None
        self._meter = ObjectiveMeter()
        if teacher is not None:
            own_tokens = teacher_data is not None
            device = self.args.device
            prepare_teacher(teacher, self.model, device=device, own_tokens=own_tokens)
        if teacher_cache is not None:
            self._learn_from_answers(Path(teacher_cache), teacher_data)

    @cached_property
    def objectives(self) -> tuple[Objective, ...]:
        """The terms of the training loss."""
        found = collect_objectives(self.methods, self.gates, self.context())
        refuse_checkpointing(found, self.args)
        models_own = self.compute_loss_func is None and self.label_smoother is None
        return split_order(found, self.label_names) if models_own else found

    def context(self, example_inputs: Mapping[str, Tensor] | None = None) -> Any:
        """What the methods see: training batches of the student's inputs, and the teacher."""
        if self.train_dataset is None:
            raise DataError("methods look at training data; pass train_dataset= to the trainer")
        batches = Batches(
            self.train_dataset,
            self._student_collate,
            size=self.args.train_batch_size,
            seed=self.args.seed,
        )
        return make_context(
            batches,
            label_names=self.label_names,
            teacher=self.teacher,
            example_inputs=example_inputs,
            cache=None if self.score_cache is None else Path(self.score_cache),
            processor=self.processing_class,
        )

    def compress(self, example_inputs: Mapping[str, Tensor] | None = None) -> nn.Module:
        """Apply every method's plan to the model, in place, and return it.

        Each plan is decided on the model as the ones before left it, and is the same on all
        processes. `self.plan` grows by the edits. A later `train()` starts with a new optimizer.
        Where tokens are dropped, `processing_class` becomes the tokenizer of those that stay, and
        texts have to be tokenised anew. Raises `PlanError` and `VerificationError`.
        """
        model = self.accelerator.unwrap_model(self.model)
        ctx = self.context(example_inputs)
        with same_randomness(self.args.seed):
            for method in self.methods:
                plan = self._agreed(method.plan(model, ctx))
                model = apply_plan(model, plan, on_device_of(model, ctx.example_inputs))
                self.plan += plan
                self.processing_class = fit_tokenizer(self.processing_class, plan)
        self._start_over_with(model)
        return model

    def train(
        self,
        resume_from_checkpoint: str | bool | None = None,
        trial: Any = None,
        ignore_keys_for_eval: list[str] | None = None,
    ) -> Any:
        """As `Trainer.train`, with the methods' gates on the model; they are gone afterwards.

        Torn checkpoints are never resumed. With several rounds the result is that of the last, the
        log that of all, each line with its `round`. Raises `FormatError`, and `ConfigError` when
        the training is too short for a method's schedule, or another model would train than the one
        with the gates.
        """
        refuse_other_models(self.methods, self.args, self.model_init)
        method = method_of_rounds(self.methods)
        checkpoint = self._checkpoint(resume_from_checkpoint)

        def once(start: str | None, then: Callable[[], None] | None = None) -> Any:
            with self._gates_on():
                output = self._train_from(start, trial, ignore_keys_for_eval)
                if then is not None:
                    then()
            return output

        with self._zeros_kept():
            if method is None:
                return once(checkpoint)
            self._rounds = TrainingRounds(self, method)
            try:
                return self._rounds.run(checkpoint, once)
            finally:
                self._rounds = None

    def last_checkpoint(self) -> str | None:
        """What `train(resume_from_checkpoint=True)` goes on from; None when nothing is whole."""
        if method_of_rounds(self.methods) is None:
            return last_checkpoint(self.args.output_dir)
        return RoundFolders(self.args.output_dir).last_checkpoint()

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """As `Trainer`'s; in the middle of a training with the gates as they stand now."""
        if self.gates is not None:
            self.gates.advance(progress_of(self.state, self.args))
        return super().evaluation_loop(*args, **kwargs)

    def create_optimizer(self, *args: Any, **kwargs: Any) -> Any:
        """As `Trainer`'s; gates have a group of their own."""
        if self.gates is None or self.optimizer is not None:
            return super().create_optimizer(*args, **kwargs)
        with untrained(self.gates.parameters()):
            optimizer = super().create_optimizer(*args, **kwargs)
        for group in self.gates.parameter_groups():
            optimizer.add_param_group(group)
        return optimizer

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Mapping[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The weighted sum of the objectives while training, the task's loss while evaluating."""
        if not model.training:
            own = self._student_inputs(inputs)
            return super().compute_loss(model, own, return_outputs, num_items_in_batch)
        inputs = dict(inputs)
        shares = inputs.pop(KEY, None)
        step = self._step(model, inputs, num_items_in_batch)
        losses = {o.name: o.loss(step) for o in self.objectives if self._has_loss(o, inputs)}
        losses = self._shared(losses, shares)
        self._meter.add(losses)
        active = [objective for objective in self.objectives if objective.name in losses]
        loss = weighted_sum(active, self._scaled(losses))
        return (loss, step.outputs) if return_outputs else loss

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> tuple[list[Any], Any]:
        """As `Trainer`'s; micro-batches of one step come with the share that each has in it."""
        batches, items = super().get_batch_samples(*args, **kwargs)
        add_shares(batches, self.objectives, self.accelerator)
        return batches, items

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As `Trainer`'s; a training loss comes with its parts, a round with its number."""
        if "loss" in logs:
            logs.update(self._meter.drain(self.accelerator))
        if self._rounds is not None:
            logs["round"] = self._rounds.number
        super().log(logs, start_time)

    def _train_from(self, checkpoint: str | None, *args: Any) -> Any:
        """`Trainer.train`, but no step more than asked for when the checkpoint is of the last."""
        self._meter = ObjectiveMeter()
        callback = StopWhenOver()
        self.add_callback(callback)
        try:
            return super().train(checkpoint, *args)
        except NothingLeftError:
            if self.args.load_best_model_at_end and self.state.best_model_checkpoint:
                self._load_best_model()
            self.callback_handler.on_train_end(self.args, self.state, self.control)
            return TrainOutput(self.state.global_step, 0.0, {})
        finally:
            self.remove_callback(callback)
            if restore_forward(self.accelerator.unwrap_model(self.model)):
                self.model_wrapped = self.model

    def _checkpoint(self, asked: str | bool | None) -> str | None:
        return super()._checkpoint((self.last_checkpoint() or True) if asked is True else asked)

    @contextmanager
    def _gates_on(self) -> Iterator[None]:
        """Put gates on the model, move them with the steps, and make them part of the weights."""
        prepared = prepare_gates(self.methods, self.model, self.context)
        if prepared is None:
            yield
            return
        callback = AdvanceGates(prepared)
        self.add_callback(callback)
        self._renew(prepared)
        try:
            refuse_own_optimizer(self.optimizer, prepared)
            yield
            if not self.args.load_best_model_at_end:  # what was evaluated stays as it was
                prepared.advance(progress_of(self.state, self.args))
        finally:
            self.remove_callback(callback)
            prepared.close()
            self._renew(None)
            self._start_over_with(self.accelerator.unwrap_model(self.model))

    def _renew(self, gates: Gates | None) -> None:
        self.gates = gates
        self.__dict__.pop("objectives", None)

    @contextmanager
    def _zeros_kept(self) -> Iterator[None]:
        """Zeros that an earlier pruning left stay zero."""
        weights = weights_with_zeros(self.model)
        if not weights:
            yield
            return
        callback = KeepZeros(list(weights.values()))
        self.add_callback(callback)
        try:
            yield
        finally:
            self.remove_callback(callback)

    def _step(self, model: nn.Module, inputs: Mapping[str, Any], num_items: Any) -> Step:
        own = self._student_inputs(inputs)
        if self._labelled(inputs):
            loss, outputs = super().compute_loss(model, own, True, num_items)
            smoothing = self.args.label_smoothing_factor
            loss = of_soft_labels(loss, outputs, inputs, smoothing=smoothing)
        else:
            outputs = model(**own)
            loss = torch.zeros((), device=self.args.device)
        return Step(inputs, outputs, loss, self._teacher_runner())

    def _labelled(self, inputs: Mapping[str, Any]) -> bool:
        return self.can_return_loss or any(inputs.get(n) is not None for n in self.label_names)

    def _has_loss(self, objective: Objective, inputs: Mapping[str, Any]) -> bool:
        """False for a task loss that weighs nothing and has no labels. Raises `DataError`."""
        if objective.name not in (TASK, ORDER) or self._labelled(inputs):
            return True
        if objective.weight > 0:
            raise DataError(
                f"the task's own loss weighs {objective.weight}, but a batch of "
                f"{', '.join(inputs)} has no {' or '.join(self.label_names)}; give labelled data, "
                "or a weight of 0 (logits: alpha_task: 0)"
            )
        return False

    def _shared(self, losses: Mapping[str, Tensor], shares: Tensor | None) -> Mapping[str, Tensor]:
        """Losses times the micro-batch's shares; a `compute_loss_func` knows all items itself."""
        whole = shared(losses, self.objectives, shares)
        if self.compute_loss_func is not None and TASK in losses:
            whole[TASK] = losses[TASK]
        return whole

    def _scaled(self, losses: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Losses as `training_step` expects them.

        A `compute_loss_func` divides by all items of an accumulated step, and `training_step` then
        divides no more; means over a micro-batch have to be divided here.
        """
        if self.compute_loss_func is None:
            return losses
        steps = self.current_gradient_accumulation_steps
        return {name: loss if name == TASK else loss / steps for name, loss in losses.items()}

    def _agreed(self, plan: Plan) -> Plan:
        """The main process's plan, on every process."""
        return plan_from_json(broadcast_object_list([plan.to_json()])[0])

    def _start_over_with(self, model: nn.Module) -> None:
        self.model = self.model_wrapped = self.callback_handler.model = model
        self.optimizer = self.lr_scheduler = None
        self._created_lr_scheduler = False
