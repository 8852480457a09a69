"""Options and configs for test_hostile.py, by what is wrong with them."""

OPTIONS = {
    "a batch of none": "--data.batch_size 0",
    "a batch of minus one": "--data.batch_size -1",
    "a batch in words": "--data.batch_size many",
    "a fold that is not there": "--data.fold 99",
    "a negative fold": "--data.fold -1",
    "a seed beyond 64 bits": f"--seed_everything {2**70}",
    "a seed beyond 32 bits": f"--seed_everything {2**40}",
    "a negative seed": "--seed_everything -1",
    "a seed in words": "--seed_everything seven",
    "a number of 5,000 digits": f"--data.batch_size {'9' * 5000}",
    "an unknown option": "--data.colour red",
    "an unknown trainer option": "--trainer.colour red",
    "an unknown model option": "--model.colour red",
    "an unknown class": "--model Nonesuch",
    "an unknown protocol": "--data.protocol secret",
    "a modality of another's name": "--data.features.mask sound",
    "a modality that a target would replace": "--data.features.target sound",
    "two classes of one name": "--data.class_names [a,a]",
    "too few class names": "--data.class_names [a]",
    "a class without a name": "--data.class_names [a,'']",
    "an unknown modality": "--data.missing.smell 0.5",
    "a rate over one": "--data.missing.audio 1.5",
    "a rate that is no number": "--data.missing.audio .nan",
    "an unknown accelerator": "--trainer.accelerator abacus",
    "an unknown precision": "--trainer.precision 7",
    "epochs in words": "--trainer.max_epochs many",
    "a config that is not there": "--config nowhere.yaml",
    "a config that is a folder": "--config .",
    "a checkpoint that is not there": "--ckpt_path nowhere.ckpt",
    "a root that is not there": "--data.root nowhere",
    "settings in a file of their own": "--model model.yaml",
    "a linked option": "--model.num_classes 9",
    "a negative rate of learning": "--model.optimizer torch.optim.Adam --model.optimizer.lr -1",
    "the settings of many GPUs on a CPU": "--config experiments/_ddp.yaml",
}


CONFIGS = {
    "empty": "",
    "a list": "[1, 2]",
    "text": "hello",
    "a number": "3",
    "an open bracket": "data: {root: [",
    "tabs": "data:\n\t- root",
    "not a mapping inside": "data: 7",
    "null": "model: null",
    "an object": "model: !!python/object/apply:os.system [touch was-here]",
    "an alias of itself": "data: &a {class_path: *a}",
    "aliases of aliases": "".join(
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9) if level else '1'}]\n" for level in range(12)
    ),
    "5,000 levels": "data: " + "{a: " * 5000 + "1" + "}" * 5000,
    "5,000 digits": f"seed_everything: {'9' * 5000}",
    "a key twice": "seed_everything: 1\nseed_everything: 2",
    "a function as the model": "model: {class_path: os.system, init_args: {command: touch was-here}}",
    "a foreign module as the model": "model: {class_path: foreign.Net}",
    "a foreign module as a callback": "trainer: {callbacks: [{class_path: foreign.Net}]}",
    "a foreign module as a loss": "model: {init_args: {loss: {class_path: foreign.Net}}}",
    "a foreign optimizer": "model: {init_args: {optimizer: foreign.Net}}",
    "a function as the optimizer": "model: {init_args: {optimizer: os.system}}",
}


MIDDLE = {
    "fewer than no GPUs": ["--trainer.devices", "-3"],
    "no batches to a step": ["--trainer.accumulate_grad_batches", "0"],
    "a share of a batch": ["--trainer.overfit_batches", "0.5"],
    "a validation every no epoch": ["--trainer.check_val_every_n_epoch", "0"],
    "a profiler that calls a word": [
        "--trainer.profiler={class_path: PyTorchProfiler, dict_kwargs: {on_trace_ready: word}}"
    ],
    "nothing to test": ["--trainer.limit_test_batches", "0"],
    "a longer interval than an epoch": ["--trainer.val_check_interval", "7"],
    "a search for what our models lack": ["--trainer.callbacks+=LearningRateFinder"],
    "stopping by an unknown score": [
        "--trainer.callbacks+={class_path: EarlyStopping, init_args: {monitor: nonesuch}}"
    ],
    "keeping by an unknown score": [
        "--trainer.callbacks+={class_path: ModelCheckpoint, init_args: {monitor: nonesuch}}"
    ],
    "a callback without its logger": ["--trainer.callbacks+=DeviceStatsMonitor"],
    "an optimizer of sparse gradients": ["--model.optimizer=torch.optim.SparseAdam", "--model.optimizer.lr", "0.1"],
    "a scheduler of no steps": ["--model.scheduler=torch.optim.lr_scheduler.StepLR", "--model.scheduler.step_size=0"],
    "a loss of something else": ["--model.loss", "torch.nn.MSELoss"],
    "TensorBoard in a folder nobody can make": [
        "--trainer.logger+={class_path: TensorBoardLogger, init_args: {save_dir: /proc/nowhere}}"
    ],
    "TensorBoard in a file": ["--trainer.logger+={class_path: TensorBoardLogger, init_args: {save_dir: /dev/null}}"],
}
