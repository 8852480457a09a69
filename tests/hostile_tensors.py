"""Files of tensors for test_hostile.py: features and checkpoints, by what is wrong with them."""

import os
from collections.abc import Callable
from pathlib import Path

import hostile
import numpy as np
import torch
from hostile import content, cut

IDS = [f"s{speaker}-{clip}" for speaker in range(3) for clip in range(4)]


def feature(seed: int = 0) -> torch.Tensor:
    return torch.randn(13, 64, generator=torch.Generator().manual_seed(seed))


def saved(value: object) -> Callable[[Path], None]:
    return lambda path: torch.save(value, path)


def flipped(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)


class Evil:
    """A pickle that would leave a file behind."""

    def __reduce__(self):
        return (os.system, ("touch was-here",))


def numpy_header(shape: str, kind: str = "<f4") -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (117 - len(header)) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


BAD_TENSORS = {
    "NaN": saved(feature() * np.nan),
    "infinite": saved(feature() * np.inf),
    "another rank": saved(feature()[0]),
    "another length": saved(feature()[:, :60]),
    "another height": saved(feature()[:12]),
    "whole numbers": saved(torch.ones(13, 64, dtype=torch.int16)),
    "complex numbers": saved(torch.ones(13, 64, dtype=torch.complex64)),
    "truth values": saved(torch.ones(13, 64, dtype=torch.bool)),
    "nothing in it": saved(torch.empty(0)),
    "a number alone": saved(torch.tensor(3.0)),
    "a dict": saved({"audio": feature()}),
    "a list": saved([feature()]),
    "text": content(b"hello"),
    "empty": content(b""),
    "a web page": content(b"<!doctype html><html></html>"),
    "sparse": saved(feature().to_sparse()),
    "quantized": saved(torch.quantize_per_tensor(feature(), 0.1, 0, torch.qint8)),
    "on no device": saved(torch.empty(13, 64, device="meta")),
    "a pickle that runs": saved(Evil()),
    "a module": saved(torch.nn.Linear(2, 2)),
    "cut at 10 %": lambda path: (torch.save(feature(), path), cut(0.1)(path)),
    "cut at 90 %": lambda path: (torch.save(feature(), path), cut(0.9)(path)),
    "a flipped bit": lambda path: (torch.save(feature(), path), flipped(path)),
    "a folder": hostile.folder,
    "a pipe": hostile.fifo,
    "an endless device": hostile.linked("/dev/zero"),
    "a dangling link": hostile.linked("nowhere.pt"),
    "missing": hostile.remove,
}


def features(root: Path, suffix: str = ".pt") -> Path:
    """Twelve clips of three speakers, a file each."""
    (root / "sound").mkdir(parents=True)
    for number, clip in enumerate(IDS):
        path = root / "sound" / f"{clip}{suffix}"
        if suffix == ".pt":
            torch.save(feature(number), path)
        else:
            np.save(path, feature(number).numpy())
    rows = [f"{clip},{clip[:2]},{number % 2},{clip[1]}\n" for number, clip in enumerate(IDS)]
    (root / "index.csv").write_text("id,group,target,fold\n" + "".join(rows))
    return root


BAD_ARRAYS = {
    "objects": lambda path: np.save(path, np.array([Evil()], dtype=object), allow_pickle=True),
    "a header of 100 GB": content(numpy_header("(13, 2000000000)") + bytes(1000)),
    "a header of negative size": content(numpy_header("(-13, 64)") + bytes(1000)),
    "a header that is code": content(numpy_header("__import__('os')") + bytes(1000)),
    "a header cut short": content(numpy_header("(13, 64)")[:40]),
    "too few bytes": content(numpy_header("(13, 64)") + bytes(1000)),
    "a pickle": content(b"\x80\x04\x95\x0e\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94."),
    "text": content(b"hello"),
    "empty": content(b""),
    "dates": lambda path: np.save(path, np.zeros((13, 64), "M8[s]")),
    "text in an array": lambda path: np.save(path, np.full((13, 64), "a")),
    "records": lambda path: np.save(path, np.zeros((13, 64), [("a", "f4")])),
    "NaN": lambda path: np.save(path, np.full((13, 64), np.nan, np.float32)),
    "beyond float32": lambda path: np.save(path, np.full((13, 64), 1e300)),
}


BAD_TABLES_OF_ARRAYS = {
    "no ids": {"audio": np.zeros((12, 13, 64), np.float32)},
    "ids of other clips": {"id": np.array(["x"] * 12), "audio": np.zeros((12, 13, 64), np.float32)},
    "ids twice": {"id": np.array(IDS[:6] * 2), "audio": np.zeros((12, 13, 64), np.float32)},
    "fewer rows than ids": {"id": np.array(IDS), "audio": np.zeros((11, 13, 64), np.float32)},
    "objects": {"id": np.array(IDS), "audio": np.array([Evil()] * 12, dtype=object)},
    "a bomb of zeros": {"id": np.array(IDS), "audio": np.zeros((12, 13, 400_000), np.float32)},
    "another name": {"id": np.array(IDS), "sound": np.zeros((12, 13, 64), np.float32)},
}


def edited(**changes: object) -> Callable[[Path], None]:
    """A checkpoint with some of its entries replaced; None removes one."""

    def damage(path: Path) -> None:
        state = torch.load(path, weights_only=True)
        for name, value in changes.items():
            state.pop(name, None)
            if value is not None:
                state[name] = value
        torch.save(state, path)

    return damage


def hyper(**changes: object) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        state = torch.load(path, weights_only=True)
        state["hyper_parameters"] |= changes
        torch.save(state, path)

    return damage


def weights(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        state = torch.load(path, weights_only=True)
        state["state_dict"] = {
            name: change(value) if value.is_floating_point() else value for name, value in state["state_dict"].items()
        }
        torch.save(state, path)

    return damage


CHECKPOINTS = {
    "empty": content(b""),
    "text": content(b"hello"),
    "a folder": hostile.folder,
    "a pipe": hostile.fifo,
    "missing": hostile.remove,
    "cut at 10 %": cut(0.1),
    "cut at 90 %": cut(0.9),
    "a flipped bit": flipped,
    "a pickle that runs": saved(Evil()),
    "a pickle that runs inside": edited(callbacks=Evil()),
    "a list": saved([1, 2]),
    "a tensor": saved(torch.ones(3)),
    "no weights": edited(state_dict=None),
    "weights that are none": edited(state_dict=[1]),
    "weights of text": edited(state_dict={"head.weight": "a"}),
    "weights of nothing": edited(state_dict={}),
    "no hyper-parameters": edited(hyper_parameters=None),
    "hyper-parameters that are none": edited(hyper_parameters=3),
    "no epoch": edited(epoch=None),
    "another model": hyper(_class_path="lightning_modules.cfnsr.CFNSR"),
    "a foreign model": hyper(_class_path="foreign.AudioOnly"),
    "a foreign part": hyper(audio={"class_path": "foreign.MFCCNet"}),
    "a foreign loss": hyper(loss={"class_path": "foreign.Net"}),
    "a foreign optimizer": hyper(optimizer={"class_path": "foreign.Net"}),
    "an argument that is none": hyper(colour="red"),
    "NaN": weights(lambda value: value * np.nan),
    "another size": weights(lambda value: torch.zeros(3)),
    "on no device": weights(lambda value: value.to("meta")),
}


RESUMED = {
    "no state of the optimizer": edited(optimizer_states=None),
    "an empty state of the optimizer": edited(optimizer_states=[]),
    "no loops": edited(loops=None),
    "loops that are none": edited(loops=3),
    "no step": edited(global_step=None),
    "callbacks that are none": edited(callbacks=3),
    "a flipped bit": flipped,
    "cut at 90 %": cut(0.9),
    "empty": content(b""),
    "a folder": hostile.folder,
}
