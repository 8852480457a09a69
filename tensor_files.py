"""The one reader and writer of files of tensors: ``.pt``, ``.pth``, ``.ckpt``, ``.safetensors``, ``.npy`` and ``.npz``.

Nothing that a file brings along is run, and no size that it claims is trusted. What is checked:

* ``.pt``, ``.pth`` and ``.ckpt`` of torch 1.6 or newer, and ``.npz``, are zip archives: every byte against the CRC-32
  of its member, which torch itself never looks at. A file that did not change is checked once in a process.
* ``.npy``: header against the size of the file. It has no checksum.
* ``.safetensors``: header against the size of the file, by its library. It has no checksum.
* ``.pt`` of before torch 1.6: nothing can be. It is read only where asked for, and says so.

It imports torch only for what needs it.
"""

import hashlib
import io
import math
import warnings
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atomic_files import replacing, write_atomic
from error_texts import first_line, first_names
from tensor_archives import TensorFileError, check_archive, fits, need

if TYPE_CHECKING:
    from torch import Tensor

_BEFORE_ZIP = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how torch.save began before version 1.6


def read_torch(path: Path, *, check: bool = True, old: bool = False) -> Any:
    """Read what ``torch.save`` wrote, as plain values and tensors that stay on disk until they are used.

    Args:
        path: The file.
        check: Compare every byte with its checksum first; False where only names, types and shapes are looked at.
        old: Accept the format of before torch 1.6 too, which has no checksum; a warning names the file's SHA-256.

    Returns:
        Its content, tensors on the CPU.

    Raises:
        TensorFileError: If it is not there, damaged, or holds what could only be read by running code.
    """
    import torch

    need(path)
    mapped = _is_archive(path)
    if not mapped:
        if not (old and _is_old(path)):
            raise TensorFileError(f"{path} {_no_archive(path)}")
        warnings.warn(f"{path} has no checksum to go by (format of before torch 1.6); {_sha256(path)}", stacklevel=2)
    elif check:
        check_archive(path, packed=False)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # torch raises a dozen kinds for a damaged file
        reason = "damaged, or it brings code to run" if "Weights only" in str(error) else first_line(error, 120)
        raise TensorFileError(f"{path} is no plain tensor file ({reason})") from error


def save_torch(content: Any, path: Path, *, sync: bool = True) -> None:
    """Save plain values and tensors, whole or not at all; ``sync`` and errors as of `atomic_files.replacing`."""
    import torch

    with replacing(path, sync=sync) as temporary, temporary.open("wb") as file:  # a file's own name would be in it
        try:
            torch.save(content, file)
        except BaseException as error:
            # The zip writer of torch turns what ends a write in its middle into a RuntimeError of its own.
            if isinstance(cause := error.__context__, KeyboardInterrupt | OSError):
                raise cause from None
            raise


def read_storage(raw: bytes) -> "Tensor":
    """Return the values ``(N,)`` of a storage that ``torch.save`` wrote; damage raises an exception of any kind."""
    import torch

    storage: Any = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    return torch.empty(0, dtype=storage.dtype).set_(storage)


def read_safetensors(path: Path) -> "dict[str, Tensor]":
    """Read a ``.safetensors`` file: its library checks the header, and nobody can check the values.

    Raises:
        TensorFileError: If it is not there or damaged.
    """
    from safetensors.torch import load_file

    need(path)
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except Exception as error:  # the library's own kinds, and the system's
        raise TensorFileError(f"{path} is damaged, or no safetensors file ({first_line(error, 120)})") from error
    return tensors


def save_safetensors(tensors: "dict[str, Tensor]", path: Path) -> None:
    """Save what `read_safetensors` reads, whole or not at all.

    Raises:
        OSError: It cannot be written; the file is named.
    """
    from safetensors.torch import save

    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}  # none shares memory
    write_atomic(path, save(own))


def read_tensor(path: Path, *, check: bool = True) -> "Tensor":
    """Read a file of one plain tensor, which stays on disk until it is used; ``check`` as of `read_torch`.

    Raises:
        TensorFileError: As `read_torch`, and for anything that is not one dense tensor with values of its own.
    """
    import torch

    content = read_torch(path, check=check)
    if not isinstance(content, torch.Tensor):
        raise TensorFileError(f"{path} holds a {type(content).__name__}, expected one plain tensor")
    kind = "sparse" if content.layout != torch.strided or content.is_nested else ""
    kind = "quantized" if content.is_quantized else kind or ("meta" if content.is_meta else "")
    if kind:
        raise TensorFileError(f"{path} holds a {kind} Tensor, expected one plain tensor")
    size = path.stat().st_size
    if content.numel() * content.element_size() > size:  # one value that says it is many
        shape = "x".join(map(str, content.shape))
        raise TensorFileError(f"{path}: a file of {size:,} bytes cannot hold {shape} values; save a copy (.clone())")
    return content.detach().resolve_conj().resolve_neg()


def read_feature(path: Path) -> np.ndarray:
    """Read one array from ``.npy`` or what ``torch.save`` wrote; what numpy has no type for (bfloat16) as float32.

    Raises:
        TensorFileError: As `read_tensor` and `read_npy`.
    """
    if path.suffix == ".npy":
        return read_npy(path)
    tensor = read_tensor(path)
    own = tensor.dtype.is_floating_point and tensor.dtype.itemsize < 4  # bfloat16 and float8
    if str(tensor.dtype) != "torch.float16" and own:
        tensor = tensor.float()
    try:
        return np.asarray(tensor.numpy())
    except (TypeError, RuntimeError) as error:
        raise TensorFileError(f"{path} holds {tensor.dtype} values, which cannot be used as features") from error


def read_npy(path: Path) -> np.ndarray:
    """Read a ``.npy`` file whose size is the one that its header gives.

    Raises:
        TensorFileError: If it is not there, of another size, or holds objects.
    """
    need(path)
    try:
        mapped = np.lib.format.open_memmap(path, mode="r")  # header and size alone
        if mapped.offset + mapped.nbytes != (size := path.stat().st_size):
            raise ValueError(f"{size:,} bytes where the header tells {mapped.offset + mapped.nbytes:,}")
        fits(mapped.nbytes)
        return np.array(mapped)
    except Exception as error:  # numpy raises a dozen kinds for a damaged header
        raise TensorFileError(f"{path} is not a plain .npy file, or damaged ({first_line(error, 120)})") from error


def read_flat(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Return the float32 values of a file that holds them and nothing else, mapped.

    Raises:
        TensorFileError: If it is not there, or of another size.
    """
    need(path)
    if path.stat().st_size != 4 * math.prod(shape):
        raise TensorFileError(f"{path} is not {'x'.join(map(str, shape))} values; make it anew")
    return np.memmap(path, np.float32, "r", shape=shape) if math.prod(shape) else np.zeros(shape, np.float32)


def read_npz(path: Path, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Read the named arrays of a ``.npz`` file, or all, in the order of the file.

    Raises:
        TensorFileError: If it is not there, damaged, lacks an array, holds objects, or unpacks to more than it may.
    """
    check_archive(path)
    try:
        with np.load(path, allow_pickle=False) as content:
            if absent := [name for name in names or () if name not in content.files]:
                raise TensorFileError(f"{path}: no array {', '.join(absent)}; it holds {first_names(content.files)}")
            return {name: np.asarray(content[name]) for name in content.files if names is None or name in names}
    except TensorFileError:
        raise
    except Exception as error:  # numpy, zipfile and zlib raise a dozen kinds
        raise TensorFileError(f"{path} is not a plain .npz file, or damaged ({first_line(error, 120)})") from error


def _is_archive(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # an end that makes no sense
        return False


def _is_old(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_BEFORE_ZIP)) == _BEFORE_ZIP


def _no_archive(path: Path) -> str:
    """Return what is wrong with a file that is no zip archive."""
    if _is_old(path):
        return "is in the format of before torch 1.6, which has no checksum: load it there and torch.save it again"
    return "is no plain tensor file: damaged, or not written by torch.save"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return f"SHA-256 {hashlib.file_digest(file, 'sha256').hexdigest()}"
