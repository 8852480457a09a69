"""Lightning's command line over every model, corpus and callback of the project.

What it adds to `LightningCLI`: data-dependent arguments linked into the model, one folder per run in which a killed run
carries on and a changed one is refused, a test of the selected checkpoint after every fit, and errors of one or two
lines.
"""

import contextlib
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from datamodules.base import EmotionDataModule
from datamodules.reading.names import check_name
from error_texts import chain, first_line
from experiments.errors import Finished, UsageError
from experiments.results import cell as results
from experiments.results import request
from experiments.results.checkpoints import DAMAGED, read_checkpoint, restore_problem
from experiments.results.needs import request_hash, resolve_checkpoints
from experiments.results.stamps import MEANINGS, TRANSDUCTIVE
from experiments.settings import class_paths
from experiments.settings.config import MOST_SEED
from experiments.settings.messages import Parser
from experiments.settings.redaction import forget
from experiments.train import initial, pairing
from experiments.train.calibrate import calibrate
from experiments.train.embed import use_frozen_encoders
from experiments.train.foreign import check_trainer, explain
from experiments.train.lean import NoProfiler, skip_empty_hooks
from experiments.train.of_checkpoint import model_of_checkpoint
from experiments.train.recorders import with_recorders
from experiments.train.run_folder import begin, enter, folder_of, sweep_folder
from experiments.train.run_record import RecordConfig, record_result
from experiments.train.tested_checkpoints import score_selections
from lightning_modules.base import EmotionTask

HERE = Path(__file__).parents[1]
# Arguments of a model that are attributes of the data.
LINKS = {
    "num_classes": "num_outputs",
    **{name: name for name in ("class_weights", "class_names", "vocabulary_sizes", "tasks", "value_scales")},
}


class EmotionCLI(LightningCLI):
    """``fit``, ``validate``, ``test`` and ``predict``."""

    def __init__(self, arguments: Sequence[str], held: contextlib.ExitStack | None = None) -> None:
        self.held = held or contextlib.ExitStack()  # what is let go when the command has ended
        self.arguments = list(arguments)
        self.is_running = False
        try:
            self._run()
        except Exception as error:
            if not self.is_running:
                raise
            self._raise_readable(error)
            raise

    def _run(self) -> None:
        """Parse, build and run, as Lightning's constructor does."""
        default = {
            "default_config_files": [str(HERE / "_trainer.yaml")],
            "epilog": f"{class_paths.OPTION} PACKAGE: {class_paths.HELP}",
        }
        super().__init__(
            EmotionTask,
            EmotionDataModule,
            save_config_callback=RecordConfig,
            save_config_kwargs={"overwrite": True, "save_to_log_dir": False},
            seed_everything_default=0,
            parser_kwargs={command: dict(default) for command in self.subcommands()},
            parser_class=Parser,
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            args=None if self.arguments == sys.argv[1:] else self.arguments,
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """Return the one command that was called: describing the others takes as long again each."""
        known = LightningCLI.subcommands()
        return {name: known[name] for name in self.arguments[:1] if name in known} or known

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Link the model's arguments to the data's attributes."""
        # The first link, so that a pair that cannot work is refused before anything is read of the data.
        target = "model.init_args.input_shapes"
        parser.link_arguments("data", target, compute_fn=self._checked_shapes, apply_on="instantiate")
        for name, source in LINKS.items():
            parser.link_arguments(f"data.{source}", f"model.init_args.{name}", apply_on="instantiate")
        parser.add_argument("--overwrite", type=bool, default=False, help="Throw away what the run's folder holds.")
        parser.add_argument(
            "--init_from", type=str | None, help="A checkpoint, a run's or an exported folder to begin a fit with."
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, after refusing values that a link would silently replace."""
        given = request.read_command(self.arguments[1:]).get("model", {}).get("init_args", {})
        links = {"input_shapes": "input_shapes", **LINKS}
        if linked := [name for name in links if name in given]:
            raise UsageError(f"--model.{linked[0]} is taken from the data (data.{links[linked[0]]}); remove it")
        if parser.default_env:
            raise UsageError("JSONARGPARSE_DEFAULT_ENV: a run is compared by files and options alone; unset it")
        super().parse_arguments(parser, args)
        seed = self.config[self.config["subcommand"]].seed_everything
        if isinstance(seed, bool) or not 0 <= seed <= MOST_SEED:
            raise UsageError(f"--seed_everything {seed}: expected a whole number from 0 to {MOST_SEED}")
        # Lightning would lay the checkpoint's model arguments over the command line's: a --model option would be
        # ignored in silence. It is told of no checkpoint until `_read_checkpoint` has done so, and refused that.
        command = self.config[self.config["subcommand"]]
        self.checkpoint, command["ckpt_path"] = command.get("ckpt_path"), None

    def before_instantiate_classes(self) -> None:
        """Read the model's arguments from the checkpoint; check what was parsed before any of it is called."""
        self._read_checkpoint()
        class_paths.check_classes(self.config[self.config["subcommand"]])
        self.reads = pairing.tell_data(self.config[self.config["subcommand"]])

    def _read_checkpoint(self) -> None:
        command, path = self.config["subcommand"], self.checkpoint
        self.config[command]["ckpt_path"] = path
        if model := model_of_checkpoint(command, path, self.config[command], self.arguments[1:]):
            try:
                self.config = self.parser.parse_object({command: {"model": model}}, self.config)
            except UsageError as error:
                raise UsageError(f"--ckpt_path {path}: of its model's arguments, {error}") from error

    def _checked_shapes(self, data: EmotionDataModule) -> dict[str, list[int]]:
        """Return the shapes that the data hand over, once they are known to be of the kinds that the model reads."""
        model = pairing.class_of(self.config[self.config["subcommand"]].model.class_path)
        pairing.check_pair(model, self.reads, data)
        return data.input_shapes

    def instantiate_classes(self) -> None:
        """Build data, model and trainer."""
        collects = gc.isenabled()
        gc.disable()  # jsonargparse walks over sys.modules, to which code that the collector runs may add one
        try:
            super().instantiate_classes()
        except Exception as error:
            causes = list(chain(error))
            if isinstance(error, Finished | OSError) or any(hasattr(cause, "exit_code") for cause in causes):
                raise
            path, cause = self.config[self.subcommand].get("ckpt_path"), causes[-1]
            of = f"--ckpt_path {path}: what it says of its model" if path else "what the settings say of model or data"
            raise UsageError(f"{of} cannot be built ({type(cause).__name__}: {first_line(cause, 160)})") from error
        finally:
            if collects:
                gc.enable()
        forget(self.model)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the trainer over the run's folder."""
        config, options = self.config[self.subcommand], self.config_init[self.subcommand].trainer
        if config.trainer.fast_dev_run:  # leaves nothing behind
            options.callbacks = [c for c in options.callbacks or [] if not getattr(c, "leaves_files", False)]
        else:
            if self.subcommand == "fit":
                folder = self._run_folder()
            else:
                folder = Path(config.trainer.default_root_dir or folder_of(Path(config.ckpt_path)))
            kwargs["default_root_dir"] = str(folder)
            os.environ.setdefault("WANDB_DIR", str(folder))
            options.callbacks = with_recorders(options.callbacks or [], folder)
        if not sys.stderr.isatty():
            kwargs["enable_progress_bar"] = False
        if config.trainer.profiler is None:
            kwargs["profiler"] = NoProfiler()
        try:
            trainer = super().instantiate_trainer(**kwargs)
        except (MisconfigurationException, ModuleNotFoundError, RuntimeError, TypeError, ValueError) as error:
            raise UsageError(f"--trainer: {first_line(error)}") from error
        check_trainer(trainer, config.trainer)
        skip_empty_hooks(trainer, self.model)
        return trainer

    def _experiment(self) -> str:
        names = [path.stem for path in request.parse_command(self.arguments[1:])[0]]
        named = [name for name in names if name != "config" and not name.startswith("_")]
        return check_name(named[0], "--config") if named else type(self.model).__name__.lower()

    def _run_folder(self) -> Path:
        data: EmotionDataModule = self.datamodule
        data.split_sizes()  # what is wrong with the data shows before a folder is made
        config = self.config["fit"]
        self.request = request.request_from_command(self.arguments[1:], corpus=data.corpus, data=data.fingerprint)
        key = data.protocol, data.fold, config.seed_everything
        folder = Path(
            config.trainer.default_root_dir
            or sweep_folder(self._experiment())
            or results.run_directory(self._experiment(), *key, synthetic=data.synthetic)
        )
        if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            enter(folder, self.held)
        return folder

    def _begin_run(self) -> None:
        """Delete an earlier run where that was asked for, once everything that can be refused has been."""
        folder = Path(self.trainer.default_root_dir)
        if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            state = begin(folder, self.request, overwrite=self.config["fit"].overwrite)
        else:
            state = results.state(folder, self.request)
        self._resume(folder, state)

    def _resume(self, folder: Path, state: str) -> None:
        last = folder / "checkpoints" / "last.ckpt"
        if state == "partial" and not self.config_init["fit"].get("ckpt_path"):
            read_checkpoint(last, "", DAMAGED, resume=True)
            self.config_init["fit"]["ckpt_path"] = str(last)
            rank_zero_info(f"{folder} was begun before: carrying on from {last.name}")

    def before_fit(self) -> None:
        """Record the run's request, and find the checkpoints of its own fold and seed to start from."""
        trainer: Any = self.trainer
        data = self.datamodule
        self.model.init_from = resolve_checkpoints(
            self.model.init_from, fold=data.fold, seed=self.config["fit"].seed_everything, protocol=data.protocol
        )
        for option, part in data.leaks.items():
            if part not in self.model.parts_read():
                raise UsageError(
                    f"--data.{option}: {type(self.model).__name__} does not read the {part}, so that nothing "
                    "would leak; leave it out"
                )
        data.warn_of_one_class()
        told, self.began_with = initial.take(self.model, data, self.config["fit"], self.checkpoint)
        if not trainer.fast_dev_run:
            self._begin_run()
            rank_zero_info(f"run folder: {trainer.default_root_dir}")
        if told and not self.config_init["fit"].get("ckpt_path"):
            rank_zero_info(told)
        self._use_embeddings()

    def before_validate(self) -> None:
        """Run frozen encoders once."""
        self._use_embeddings()

    before_test = before_predict = before_validate

    def after_test(self) -> None:
        """Print a warning where the model was given what its labels were made of, or its input what it is tested on."""
        if self.datamodule.leaked:
            print(f"LEAKED: the model was given {', '.join(self.datamodule.leaks)}")
        if self.datamodule.transductive:
            print(f"{TRANSDUCTIVE}: {MEANINGS[TRANSDUCTIVE]}")

    after_predict = after_validate = after_test

    def _use_embeddings(self) -> None:
        path = self.config_init[self.subcommand].get("ckpt_path")
        use_frozen_encoders(self.model, self.datamodule, Path(path) if path else None)

    def after_fit(self) -> None:
        """Test the selected checkpoints and write the result of the run."""
        trainer: Any = self.trainer
        data = self.datamodule
        if trainer.fast_dev_run:
            trainer.test(self.model, datamodule=data, verbose=False)
            return
        selections = score_selections(trainer, self.model, data)
        calibration = calibrate(trainer, self.model, data)
        if trainer.is_global_zero:
            record_result(
                trainer,
                self.model,
                data,
                selections,
                experiment=self._experiment(),
                seed=self.config["fit"].seed_everything,
                request_hash=request_hash(self.request),
                calibration=calibration,
                began_with=self.began_with,
            )

    def after_instantiate_classes(self) -> None:
        """Mark the run as started: errors from here on are those of a run."""
        self.is_running = True
        self.model.describe_input(self.datamodule.input_facts)

    def _raise_readable(self, error: Exception) -> None:
        """Raise an error that says what a user can do about that of a run, where that is known."""
        if isinstance(error, OSError):
            error.filename = error.filename or self.trainer.default_root_dir  # a write to a full disk names no file
        path = self.config_init[self.subcommand].get("ckpt_path")
        if path and (reason := restore_problem(error)):
            raise UsageError(f"--ckpt_path {path}: {reason}") from error
        if told := explain(error, self.model):
            raise told from error
