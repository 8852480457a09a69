"""Zip archives of tensors, as torch and numpy write them: every byte against its checksum, before any is used.

Standard library alone.
"""

import hashlib
import json
import os
import struct
import time
import zipfile
from pathlib import Path

from error_texts import first_line

MOST_RATIO = 100  # of what an archive unpacks to its own size; features that are mostly zeros stay below 50
SMALL_ENOUGH = 1 << 26  # bytes: whatever the ratio, 64 MB harm nobody
_BLOCK = 1 << 20
_END = struct.Struct("<4s4H2LH")  # of a zip archive without a comment, as numpy and torch write it
_TICK = 2_000_000_000  # nanoseconds: a file younger than that may change without another time stamp
_checked: dict[str, tuple[int, int, int]] = {}


class TensorFileError(ValueError):
    """A file of tensors that cannot be used: one line that names it."""

    exit_code = 2


def check_archive(path: Path, *, packed: bool = True) -> None:
    """Compare every member of a zip archive with its CRC-32, holding one block of it at a time.

    Args:
        path: The archive.
        packed: Whether members may be compressed; torch maps the bytes as they lie there.

    Raises:
        TensorFileError: If it is not there, a bit of it is not as it was written, or it unpacks to more than
            `MOST_RATIO` times its size, or than the machine's memory.
    """
    need(path)
    stat, name = path.stat(), str(path.absolute())
    state = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
    if _checked.get(name) == state:
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_directory(path, archive)
            whole = sum(member.file_size for member in members)
            if whole > max(MOST_RATIO * stat.st_size, SMALL_ENOUGH):
                raise TensorFileError(
                    f"{path}: {stat.st_size:,} bytes that unpack to {whole:,}; no features are that empty, and what "
                    "is may be saved without compression (np.savez)"
                )
            if packed:
                fits(max((member.file_size for member in members), default=0))
            for member in members:
                if not packed and (member.compress_type or member.compress_size != member.file_size):
                    raise ValueError(f"{member.filename} is compressed")
                _check_member(archive, member)
    except TensorFileError:
        raise
    except Exception as error:  # zipfile and zlib raise a dozen kinds
        kind = "not a plain .npz file" if packed else "no plain tensor file"
        raise TensorFileError(f"{path} is {kind}, or damaged ({first_line(error, 120)})") from error
    if time.time_ns() - stat.st_mtime_ns > _TICK:
        _checked[name] = state


def archive_digest(path: Path) -> str:
    """Return 32 hexadecimal digits over names, sizes and CRC-32 of an archive's members; empty where it is none.

    Its last bytes alone are read, and a change anywhere shows: 45 MB need not be read at every start.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            content = [(part.filename, part.file_size, part.CRC) for part in archive.infolist()]
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return ""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _check_directory(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse a list of members that is shorter than the archive says: `zipfile` does not look."""
    with path.open("rb") as file:
        file.seek(-_END.size, os.SEEK_END)
        signature, *_, count, _size, _offset, _comment = _END.unpack(file.read())
    members = archive.infolist()
    if signature != b"PK\x05\x06" or count not in (len(members), 0xFFFF) or any(member.comment for member in members):
        raise ValueError("its list of members is not as it was written")


def _check_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Read a member to its end, where `zipfile` compares the CRC."""
    if not member.CRC and member.file_size:
        raise ValueError(f"{member.filename} was saved without a checksum: torch.serialization.set_crc32_options(True)")
    count = 0
    with archive.open(member) as file:
        while block := file.read(_BLOCK):
            count += len(block)
    if count != member.file_size:
        raise ValueError(f"{member.filename} has {count:,} bytes of {member.file_size:,}")


def need(path: Path) -> None:
    """Refuse a file that is not there."""
    if not path.is_file():
        raise TensorFileError(f"{path}: there is no such file")


def fits(size: int) -> None:
    """Refuse, by a ValueError, an array of more bytes than the machine has memory."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size > memory:
        raise ValueError(f"an array of {size / 1e9:,.0f} GB, and this machine has {memory / 1e9:,.0f} GB of memory")
