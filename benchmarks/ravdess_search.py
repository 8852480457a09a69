"""The search behind the best rows of the features table: models and features compared on validation speakers alone.

    python benchmarks/ravdess_search.py [--root data/ravdess_voice] [--out docs/search/ravdess_features.csv]

In each of the six honest folds a model is fitted on the training speakers and scored on the validation speakers. Clips
of the test speakers are dropped where a fold is loaded, so that nothing below can see them; with speakers standardised
(``normalize`` speaker) each by their own clips, nothing of others is read either. Every configuration is a line of the
log, in the order in which it was run: accuracy in percent by fold, mean, deviation over folds (ddof 1).

What is compared: logistic regression and RBF support vector machines over each vector and several side by side, C by C;
a network of one hidden layer over all, drawn three times, and the mean of its probabilities; and late products, of the
class probabilities of one model a vector. The probabilities of the machines are scikit-learn's own.
"""

import argparse
import csv
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from sklearn.svm import SVC
from torch import nn

from datamodules.reading.feature_index import CLASSES as CLASS
from datamodules.shapes.precomputed import PrecomputedTensorDataModule
from experiments.settings.config import PROJECT
from lightning_modules.nn.clip_vectors import clip_vectors
from lightning_modules.nn.fitted import logistic

LOG = PROJECT / "docs" / "search" / "ravdess_features.csv"
FEATURES = {"units": "au", "mfcc": "mfcc", "sound": "sound", "voice": "voice"}
PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1)
JOINED = ("units+mfcc", "units+sound", "units+sound+voice")
PRODUCTS = ("units*mfcc", "units*sound", "units*sound*voice", "units*sound*voice*mfcc", "sound*voice")
NETWORK = {"width": 128, "epochs": 15}
FOLDS, CLASSES = 6, 8

Fold = tuple[
    dict[str, np.ndarray], np.ndarray, int
]  # vectors of training clips, then validation clips; labels; n train
Fit = Callable[[np.ndarray, np.ndarray, int], np.ndarray]  # -> log probabilities of the validation clips


def load(root: Path, fold: int, normalize: str) -> Fold:
    """Return what the search may see of a fold: standardised vectors without any clip of the test speakers."""
    where = {name: f"prepared/features.npz:{array}" for name, array in FEATURES.items()}
    data = PrecomputedTensorDataModule(
        str(root), where, "prepared/index.csv", fold=fold, protocol="honest", normalize=normalize
    )
    train, held = data.rows["train"], data.rows["val"]
    seen = np.concatenate([train, held])
    vectors = {}
    for name, table in data.tables.items():
        values = clip_vectors(table[seen], None, time_last=True, functionals=True).numpy()
        mean, deviation = values[: len(train)].mean(0), values[: len(train)].std(0)
        vectors[name] = (values - mean) / np.where(deviation > 1e-12, deviation, 1)
    return vectors, np.asarray(data.clip_index.targets[CLASS][seen]), len(train)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return log probabilities of logits ``(N, K)``."""
    logits = logits - logits.max(1, keepdims=True)
    return np.asarray(logits - np.log(np.exp(logits).sum(1, keepdims=True)))


def fit_logistic(penalty: float) -> Fit:
    """Return the fit of a logistic regression, as the rows of the table have it."""

    def fit(x: np.ndarray, y: np.ndarray, train: int) -> np.ndarray:
        weight, bias = logistic(x[:train], y[:train], penalty, CLASSES, None)
        return log_softmax(x[train:] @ weight.T + bias)

    return fit


def fit_svm(penalty: float) -> Fit:
    """Return the fit of an RBF machine with scikit-learn's own class probabilities."""

    def fit(x: np.ndarray, y: np.ndarray, train: int) -> np.ndarray:
        model = SVC(C=penalty, probability=True, random_state=0).fit(x[:train], y[:train])
        return np.log(model.predict_proba(x[train:]) + 1e-9)

    return fit


def fit_network(seed: int, width: int, epochs: int) -> Fit:
    """Return the fit of a network of one hidden layer: dropout 0.3 and 0.5, AdamW, one cycle up to 0.003."""

    def fit(x: np.ndarray, y: np.ndarray, train: int) -> np.ndarray:
        torch.manual_seed(seed)
        values, targets = torch.from_numpy(x).float(), torch.from_numpy(y)
        net = nn.Sequential(
            nn.Dropout(0.3), nn.Linear(x.shape[1], width), nn.ReLU(), nn.Dropout(0.5), nn.Linear(width, CLASSES)
        )
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.02)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, epochs * (train // 32))
        for _ in range(epochs):
            for rows in torch.randperm(train)[: train // 32 * 32].split(32):
                loss = nn.functional.cross_entropy(net(values[rows]), targets[rows], label_smoothing=0.1)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                cycle.step()
        with torch.inference_mode():
            return np.asarray(net.eval()(values[train:]).log_softmax(1).numpy(), np.float64)

    return fit


def run(folds: Sequence[Fold], features: str, fit: Fit) -> list[np.ndarray]:
    """Return what a model over vectors side by side says of the validation clips of every fold."""
    names = features.split("+")
    return [fit(np.concatenate([vectors[name] for name in names], 1), y, n) for vectors, y, n in folds]


def multiply(parts: Sequence[list[np.ndarray]]) -> list[np.ndarray]:
    """Return the logarithm of the product of what models say, by fold."""
    return [np.sum(of, axis=0) for of in zip(*parts, strict=True)]


def configurations(folds: Sequence[Fold]) -> Iterator[tuple[str, str, str, list[np.ndarray]]]:
    """Yield features, model, options and what it says of the validation clips of every fold."""
    said: dict[tuple[str, float], list[np.ndarray]] = {}
    for name, penalty in itertools.product(FEATURES, PENALTIES):
        said[name, penalty] = run(folds, name, fit_logistic(penalty))
        yield name, "logistic", f"C={penalty:g}", said[name, penalty]
    for product, penalty in itertools.product(PRODUCTS, PENALTIES):
        parts = [said[name, penalty] for name in product.split("*")]
        yield product, "late product of logistic", f"C={penalty:g}", multiply(parts)
    for units, sound, voice in itertools.product((0.03, 0.1), (0.003, 0.01), (0.003, 0.01)):
        parts = [said["units", units], said["sound", sound], said["voice", voice]]
        option = f"C={units:g} {sound:g} {voice:g}"
        yield PRODUCTS[2], "late product of logistic", option, multiply(parts)
    for joined, penalty in itertools.product(JOINED, PENALTIES[1:3]):
        yield joined, "logistic", f"C={penalty:g}", run(folds, joined, fit_logistic(penalty))
    machines = {name: run(folds, name, fit_svm(3.0)) for name in ("units", "sound", "voice", JOINED[2])}
    for name, of in machines.items():
        yield name, "RBF SVM", "C=3", of
    for product in PRODUCTS[1:3]:
        yield product, "late product of RBF SVM", "C=3", multiply([machines[name] for name in product.split("*")])
    drawn = [run(folds, JOINED[2], fit_network(seed, **NETWORK)) for seed in (1, 2, 3)]
    words = " ".join(f"{name}={value}" for name, value in NETWORK.items())
    for seed, of in zip((1, 2, 3), drawn, strict=True):
        yield JOINED[2], "network", f"{words} seed={seed}", of
    yield JOINED[2], "network, mean of three", words, [np.mean(np.exp(of), 0) for of in zip(*drawn, strict=True)]


def main() -> None:
    """Search and write the log."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("data", "ravdess_voice"), help="of prepare ravdess_voice")
    parser.add_argument("--out", type=Path, default=LOG, help="the log")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with args.out.open("w", encoding="utf-8", newline="") as file:
        log = csv.writer(file, lineterminator="\n")
        log.writerow(["normalize", "features", "model", "options", *(f"fold{k}" for k in range(FOLDS)), "mean", "sd"])
        for normalize in ("none", "speaker"):
            folds = [load(args.root, fold, normalize) for fold in range(FOLDS)]
            for *what, said in configurations(folds):
                right = [100 * (of.argmax(1) == y[n:]).mean() for of, (_, y, n) in zip(said, folds, strict=True)]
                figures = [*right, float(np.mean(right)), float(np.std(right, ddof=1))]
                log.writerow([normalize, *what, *(f"{value:.2f}" for value in figures)])
                file.flush()
                print(normalize, *what, f"{np.mean(right):.2f}", flush=True)


if __name__ == "__main__":
    main()
