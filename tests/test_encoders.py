import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lightning_modules.errors import TaskError
from lightning_modules.nn.encoders import load_weights, read_hyper_parameters
from lightning_modules.nn.networks.transformers_networks import check_folder


def network(out=2):
    return nn.Sequential(nn.Linear(3, out), nn.BatchNorm1d(out))


def lightning(path, module, prefix="video."):
    state = {prefix + name: tensor for name, tensor in module.state_dict().items()}
    torch.save({"state_dict": {**state, "head.weight": torch.zeros(1)}, "epoch": 3}, path)
    return path


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_a_part_of_a_lightning_checkpoint_fills_the_part_of_that_name(tmp_path):
    source, target = network(), network()
    load_weights(target, lightning(tmp_path / "best.ckpt", source), prefix="video.")
    assert equal(source, target)


def test_plain_state_dicts_and_safetensors_load(tmp_path):
    source = network()
    torch.save(source.state_dict(), tmp_path / "net.pt")
    save_file(source.state_dict(), tmp_path / "net.safetensors")
    for name in ("net.pt", "net.safetensors"):
        target = network()
        load_weights(target, tmp_path / name)
        assert equal(source, target)


def test_weights_survive_the_file(tmp_path):
    source, target, path = network(), network(), tmp_path / "best.ckpt"
    load_weights(target, lightning(path, source), prefix="video.")
    path.write_bytes(b"")  # nothing may still point into the memory-mapped file
    assert equal(source, target)


def test_misfits_name_the_file_and_the_tensors_and_change_nothing(tmp_path):
    path = lightning(tmp_path / "best.ckpt", network(5))
    target = network()
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    with pytest.raises(TaskError, match=r"best\.ckpt does not fit video: it differs in shape at 0\.weight \[5, 3\]"):
        load_weights(target, path, prefix="video.")
    with pytest.raises(TaskError, match=r"lacks 2\.weight, 2\.bias"):
        load_weights(nn.Sequential(*network(5), nn.Linear(5, 1)), path, prefix="video.")
    with pytest.raises(TaskError, match=r"has besides 1\.weight, 1\.bias, 1\.running_mean and 2 more"):
        load_weights(nn.Sequential(nn.Linear(3, 5)), path, prefix="video.")
    with pytest.raises(TaskError, match=r"holds nothing named audio\.\*; it holds video\.0\.weight"):
        load_weights(target, path, prefix="audio.")
    assert all(torch.equal(before[name], tensor) for name, tensor in target.state_dict().items())


class Canary:
    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_unusable_files_are_refused_in_two_lines_and_run_no_code(tmp_path):
    canary = Canary()
    canary.path = tmp_path / "executed"
    torch.save({"state_dict": {}, "extra": canary}, tmp_path / "code.ckpt")
    (tmp_path / "pickle.ckpt").write_bytes(pickle.dumps(canary))
    (tmp_path / "empty.ckpt").write_bytes(b"")
    (tmp_path / "text.ckpt").write_text("not weights")
    (tmp_path / "text.safetensors").write_text("not weights")
    whole = lightning(tmp_path / "whole.ckpt", network()).read_bytes()
    (tmp_path / "cut.ckpt").write_bytes(whole[: len(whole) // 2])
    torch.save([1, 2], tmp_path / "list.ckpt")
    names = ["code.ckpt", "pickle.ckpt", "empty.ckpt", "text.ckpt", "text.safetensors", "cut.ckpt", "list.ckpt"]
    for name in [*names, "missing.ckpt", "."]:
        with pytest.raises(TaskError) as caught:
            load_weights(network(), tmp_path / name, prefix="video.")
        message = str(caught.value)
        assert str(tmp_path / name) in message
        assert message.count("\n") <= 1
        assert len(message) < 400 + len(str(tmp_path))
    assert not canary.path.exists()


def test_a_flipped_bit_in_weights_is_found(tmp_path):
    source = network()
    path = lightning(tmp_path / "best.ckpt", source)
    whole = bytearray(path.read_bytes())
    whole[whole.index(source[0].weight.detach().numpy().tobytes())] ^= 1
    path.write_bytes(whole)
    target = network()
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    with pytest.raises(TaskError, match=r"best\.ckpt .*Bad CRC-32"):
        load_weights(target, path, prefix="video.")
    assert all(torch.equal(before[name], tensor) for name, tensor in target.state_dict().items())


def test_the_archives_of_a_transformers_folder_are_checked_too(tmp_path):
    """Its library reads them with torch, which looks at no checksum."""
    path = tmp_path / "pytorch_model.bin"
    torch.save({"a": torch.ones(100)}, path)
    check_folder(tmp_path)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    with pytest.raises(TaskError, match=r"pytorch_model\.bin .*fetch it again"):
        check_folder(tmp_path)
    check_folder(tmp_path / "a name on the hub")


@pytest.mark.parametrize("arguments", [[1], "text", 3, None], ids=str)
def test_odd_hyper_parameters_are_none(tmp_path, arguments):
    torch.save({"state_dict": {}, "hyper_parameters": arguments}, tmp_path / "odd.ckpt")
    assert read_hyper_parameters(tmp_path / "odd.ckpt") == {}
