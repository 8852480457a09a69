"""The base of every paper's model: the step, the loss, the metrics, starting from checkpoints."""

import os
from abc import abstractmethod
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from lightning_modules.errors import TaskError
from lightning_modules.nn.encoders import load_weights
from lightning_modules.nn.losses import CrossEntropy, ValueLoss, labelled, value_error
from lightning_modules.nn.memory import keep_freed_memory
from lightning_modules.nn.metrics import class_labels, class_scores
from lightning_modules.nn.networks.layer_groups import Stages as Stages
from lightning_modules.nn.pretrained_encoder import PretrainedEncoder
from lightning_modules.nn.scoring import Batch as Batch
from lightning_modules.nn.scoring import ScoredModule
from lightning_modules.nn.tasks import check_tasks, keep_scales, split_output, value_scale


def select_clip(batch: Batch, row: int) -> Batch:
    """Return the batch of size 1 that one clip of a batch, number ``row``, would make alone."""
    return {
        key: select_clip(value, row) if isinstance(value, dict) else value[row : row + 1]
        for key, value in batch.items()
    }


def all_there(mask: Tensor) -> bool:
    """Return whether no clip of a batch is absent, where asking costs nothing: on a CPU, in no exported graph.

    Filling nothing with zeros took small networks up to a sixth of a training step.
    """
    return mask.device.type == "cpu" and not torch.compiler.is_compiling() and bool(mask.all())


class EmotionTask(ScoredModule):
    """A paper's model with everything that training, testing and predicting need.

    A subclass builds its modules, and defines `forward` and `stages`; the rest is here, in `ScoredModule` how it is
    evaluated, and in `StagedModule` what the learning rates are.

    A model returns plain logits, one column per class and one per value; where the data have several tasks, a forward
    hook names them by task, so that no model has to know of tasks.

    Args:
        num_classes: Columns of the logits: classes, then one per value; linked from the data (``data.num_outputs``).
        input_shapes: Shape of one clip per modality as `forward` sees it, ``{"video": [3, T, H, W]}``; linked from
            the data.
        class_weights: Loss weight per class; linked from the data (``data.class_weighting``).
        class_names: Names of the classes; linked from the data, kept in the checkpoint.
        vocabulary_sizes: Rows of an embedding per field of ``meta``, the one for unknown (0) included; linked from the
            data.
        loss: Called as ``loss(logits, target, weight=...)``; cross-entropy where not given.
        optimizer: Built over one named parameter group per stage.
        scheduler: Built over the optimizer.
        scheduler_interval: Whether the scheduler counts steps or epochs.
        init_from: Checkpoint per submodule, read when a fresh fit starts: ``{"video": "best.ckpt"}`` fills
            ``self.video`` from the keys ``video.*``.
        select_by: Metric that selects the epoch.
        memory_format: ``channels_last_3d`` lays 5-D weights out channels last, which is faster in bf16.
        tasks: Number of classes by task, 0 for a value; linked from the data, none where there are classes alone.
        value_scales: Mean and standard deviation of the training labels of every value; linked from the data. A
            checkpoint keeps them: predictions are in the unit of the label.
        value_loss: Error of values, in standard deviations of the training labels: ``mse``, ``mae``, or ``ccc``, 1
            minus the concordance correlation coefficient of the batch.
        task_weights: What the loss of a task is multiplied by; 1 where not given.
    """

    single_task: ClassVar[str] = ""  # why the model can learn nothing but one set of classes

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        class_weights: list[float] | None = None,
        loss: nn.Module | None = None,
        optimizer: OptimizerCallable = torch.optim.Adam,
        scheduler: LRSchedulerCallable | None = None,
        scheduler_interval: Literal["step", "epoch"] = "epoch",
        init_from: dict[str, str] | None = None,
        memory_format: Literal["contiguous", "channels_last_3d"] = "contiguous",
        select_by: Literal["accuracy", "uar", "f1"] = "accuracy",
        class_names: list[str] | None = None,
        vocabulary_sizes: dict[str, int] | None = None,
        tasks: dict[str, int] | None = None,
        value_scales: dict[str, list[float]] | None = None,
        value_loss: ValueLoss = "mse",
        task_weights: dict[str, float] | None = None,
    ) -> None:
        super().__init__(optimizer, scheduler, scheduler_interval)
        self.save_hyperparameters()
        objects = {name: value for name, value in self.hparams.items() if callable(value)}
        for name in objects:
            self.hparams.pop(name)  # a checkpoint holds plain values only
        self.lost_parts = [name for name, of in objects.items() if isinstance(of, nn.Module) and name != "loss"]
        if "_class_path" not in self.hparams:  # built in Python: said as the command line says it
            self.hparams["_class_path"] = f"{type(self).__module__}.{type(self).__qualname__}"
            self.hparams["_instantiator"] = "lightning.pytorch.cli.instantiate_module"
        self.num_classes = num_classes
        self.input_shapes = input_shapes
        self.tasks = tasks or {}
        self.value_loss = value_loss
        self.task_weights = task_weights or {}
        check_tasks(self.tasks, num_classes, self.task_weights, type(self).__name__, self.single_task)
        classes = sum(self.tasks.values()) if self.tasks else num_classes
        self.class_names = class_names or [str(label) for label in range(classes)]
        if len({name.strip() for name in self.class_names} - {""}) < classes:
            raise TaskError(f"class_names {self.class_names}: {classes} classes need as many different names")
        self.vocabulary_sizes = vocabulary_sizes or {}
        self.loss = loss or CrossEntropy()
        self.init_from = init_from or {}
        self.initial: dict[str, Tensor] = {}
        self.memory_format = memory_format
        self.select_by = select_by
        self.class_weights: Tensor | None
        weights = None if class_weights is None else torch.tensor(class_weights)
        self.register_buffer("class_weights", weights, persistent=False)
        self._train_sums: Tensor | None = None
        if self.tasks:
            keep_scales(self, self.tasks, value_scales or {})
            self.register_forward_hook(split_output)

    @abstractmethod
    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score a batch (contract 1).

        Args:
            batch: Clips as the DataModule hands them over.

        Returns:
            ``{"logits": (B, K), "aux": {...}}``; ``aux`` may hold ``gate`` ``(B, M)``, ``attention``, ``embedding``
            ``(B, D)`` and extra losses ``loss_<name>``.
        """

    @classmethod
    def reads(cls, **options: Any) -> dict[str, str]:
        """Return the kind of every modality that a model reads, before it is built; nothing where it does not say.

        Kinds are called as data call them (``input_kinds``); one that is empty may be any.

        Args:
            **options: Those that it would be built with, as the settings have them.
        """
        return {}

    def parts_read(self) -> set[str]:
        """Return the parts of a clip, besides its modalities, that the model reads: only a leak through them counts."""
        return set()

    def frozen_encoders(self) -> dict[str, nn.Module]:
        """Return the encoders that never train; the command line may run them once and store their embeddings.

        Returns:
            Modality to the module that maps its items ``(N, ...)`` to ``(N, D)``; `forward` takes such embeddings in
            place of the modality.
        """
        return {}

    def describe_input(self, facts: dict[str, dict[str, Any]]) -> None:
        """Tell encoders what the numbers of their modalities mean, as the data know it: see ``input_facts`` there."""
        for name, module in self.named_modules():
            of = facts.get(name.rpartition(".")[2])
            if of and isinstance(module, PretrainedEncoder):
                module.describe_input(**of)

    @staticmethod
    def observed(batch: Batch, modality: str) -> Tensor:
        """Return ``batch[modality]`` with the rows of absent clips set to zero, whatever stood there."""
        values: Tensor = batch[modality]
        mask: Tensor | None = batch.get("mask", {}).get(modality)
        if mask is None:
            return values
        if all_there(mask):
            return values.contiguous()  # as it would be when filled: sums in another order are others
        absent = ~mask.view(-1, *[1] * (values.ndim - 1))
        return values.masked_fill(absent, 0)

    def setup(self, stage: str) -> None:
        """Convert the weights to the memory format that was asked for."""
        if self.memory_format == "channels_last_3d":
            for module in self.modules():
                if isinstance(module, nn.Conv3d):
                    module.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Name the parts that were handed in as objects: their own arguments are not known."""
        if self.lost_parts:
            checkpoint["lost_parts"] = self.lost_parts

    def on_fit_start(self) -> None:
        """Fill submodules from checkpoints when a fresh fit starts; in `setup` a resumed one would look the same."""
        if self.device.type == "cpu":
            keep_freed_memory()
        if not self.trainer.ckpt_path:
            self.start(self.init_from)

    def start(self, checkpoints: dict[str, str]) -> None:
        """Fill submodules from checkpoints, and lay ``initial`` over them: tensors by name, of another training."""
        self.start_from(checkpoints)
        if self.initial:
            self.load_state_dict(self.initial, strict=False)

    def start_from(self, checkpoints: dict[str, str]) -> None:
        """Fill submodules from checkpoints; one that is itself a task takes everything that its checkpoint holds.

        Args:
            checkpoints: Path by submodule.

        Raises:
            TaskError: If there is no such submodule, or a checkpoint does not fit.
        """
        for name, path in checkpoints.items():
            part = getattr(self, name, None)
            if not isinstance(part, nn.Module):
                parts = ", ".join(child for child, _ in self.named_children())
                raise TaskError(f"--model.init_from: {type(self).__name__} has no part {name!r}; it has {parts}")
            try:
                load_weights(part, path, prefix="" if isinstance(part, EmotionTask) else f"{name}.")
            except TaskError as error:
                raise TaskError(f"--model.init_from.{name}: {str(error).removeprefix('weights: ')}") from error

    def class_loss(self, scores: Tensor, target: Tensor) -> Tensor:
        """Return the loss of the classes, over the clips that have a label where some may have none.

        Args:
            scores: ``(B, K)``.
            target: Class indices ``(B,)``, of several tasks -1 where there is no label, or probabilities ``(B, K)``,
                NaN there.

        Returns:
            A scalar, 0 with a gradient of 0 without any label.
        """
        if self.tasks or target.is_floating_point():
            known = labelled(target)
            if not known.any():
                return scores.float().sum() * 0.0  # a gradient all the same, which replicas wait for
            if not known.all():
                scores, target = scores[known], target[known]
        loss: Tensor = self.loss(scores, target, weight=self.class_weights)
        return loss

    def task_loss(self, logits: Any, target: Any) -> Tensor:
        """Return the loss of an output by itself: of several tasks the weighted sum.

        Args:
            logits: ``(B, K)``, or a dict by task.
            target: Class indices ``(B,)``, probabilities ``(B, K)``, or a dict by task; a clip without a label of a
                task counts for the others alone.

        Returns:
            A scalar.
        """
        if not self.tasks:
            return self.class_loss(logits, target)
        losses = []
        for task, classes in self.tasks.items():
            said, true = logits[task], target[task]
            if classes:
                loss = self.class_loss(said, true)
            else:
                mean, deviation = value_scale(self, self.tasks, task)
                loss = value_error((said - mean) / deviation, (true - mean) / deviation, self.value_loss)
            losses.append(self.task_weights.get(task, 1.0) * loss)
        return torch.stack(losses).sum()

    def compute_loss(self, output: dict[str, Any], batch: Batch) -> Tensor:
        """Return the task's loss plus the extra losses in what `forward` made of a batch, a scalar."""
        loss = self.task_loss(output["logits"], batch["target"])
        extra = [value for name, value in output.get("aux", {}).items() if name.startswith("loss_")]
        return loss + sum(extra) if extra else loss

    def on_train_epoch_start(self) -> None:
        """Start the epoch's sums."""
        self._train_sums = torch.zeros(4, device=self.device)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Make dropout a function of seed, epoch, batch and rank: a resumed run equals a straight one to the bit."""
        key = [int(os.environ.get("PL_GLOBAL_SEED", "0")), self.current_epoch, batch_idx, self.global_rank]
        seed = int(np.random.SeedSequence(key).generate_state(1)[0])
        # torch.manual_seed would also note down a stack trace per call for a GPU that is not in use.
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return the loss of one batch; sums stay on the device until the epoch ends."""
        output = self(batch)
        loss = self.compute_loss(output, batch)
        with torch.no_grad():
            labels, scores = class_labels(output["logits"], batch["target"]), class_scores(output["logits"])
            correct = (scores.argmax(1) == labels).sum() if self.class_names else labels.new_zeros(())
            clips = torch.tensor(float(len(batch["id"])), device=loss.device)
            assert self._train_sums is not None
            self._train_sums += torch.stack(
                [loss.detach().float() * clips, clips, correct.float(), (labels >= 0).sum()]
            )
        if self.trainer.is_last_batch:
            total, clips, hits, known = self._train_sums
            metrics = {"train_loss": total / clips}
            if self.class_names:
                metrics["train_accuracy"] = hits / known
            self.log_dict(metrics, on_step=False, on_epoch=True, batch_size=1, sync_dist=self.trainer.world_size > 1)
        return {"loss": loss}
