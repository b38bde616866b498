"""Whole files, written so that every reader sees the one before or the one after, and nothing is lost.

New bytes are staged in a temporary file of the same directory and fsynced; then they change places
with the file.  ``renameat2(RENAME_EXCHANGE)`` swaps two names in one step, so that what stood there,
even a save that landed a microsecond ago, comes out under the staged name and can be looked at.
File systems without it (NFS, overlays, FAT) get link + rename + verify, which leaves one window of a
few microseconds, between its last look and the rename.  May import ``syncd.errors``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import shlex
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path
from typing import Final, TypeAlias

from syncd.errors import InputOutputError

_AT_FDCWD: Final = -100
_RENAME_NOREPLACE: Final = 1
_RENAME_EXCHANGE: Final = 2
_NOT_TO_BE_HAD: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM})
_HINTS: Final = {
    errno.ENOSPC: "The disk is full: make room; nothing was changed.",
    errno.EDQUOT: "The disk quota is used up: make room; nothing was changed.",
    errno.EACCES: "Check who may do that, there and in the folders above.",
    errno.EPERM: "Check who may do that, there and in the folders above.",
    errno.EROFS: "The file system is mounted read-only.",
}

OUT: Final = "-out"
"""What ``exchange_by_link`` adds to a name for the moment between its steps."""

Rename: TypeAlias = Callable[[Path, Path], None]
Signature: TypeAlias = tuple[int, ...]


class Replacement(StrEnum):
    """How a file of a directory can be replaced."""

    EXCHANGE = "exchange"
    """In one step; what came out is kept and verified."""
    LINK = "link"
    """By link + rename + verify: RENAME_EXCHANGE is not to be had there."""


def digest(data: bytes) -> str:
    """Return the hash by which file contents are compared."""
    return blake2b(data, digest_size=32).hexdigest()


def digest_of(path: Path) -> str | None:
    """Return the hash of a file's bytes; ``None`` when it is gone."""
    try:
        return digest(path.read_bytes())
    except FileNotFoundError:
        return None


def signature(path: Path) -> Signature | None:
    """Return what changes whenever a file may have changed; ``None`` when it is absent."""
    try:
        return signature_of(path.stat())
    except (FileNotFoundError, NotADirectoryError):
        return None


def signature_of(found: os.stat_result) -> Signature:
    """Return the signature in a stat: times in nanoseconds, inode, size, device."""
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size, found.st_dev)


def failure(error: OSError, doing: str) -> InputOutputError:
    """Return an operating system's error as one of ours: ``doing`` says what was tried, with the path."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    hint = _HINTS.get(error.errno or 0)
    if isinstance(error, PermissionError) and isinstance(error.filename, str | os.PathLike):
        hint = f"ls -ld {shlex.quote(str(Path(error.filename).parent))} {shlex.quote(str(error.filename))}"
    return InputOutputError(f"{doing}: {reason}.", hint=hint)


def _system_rename() -> Callable[[bytes, bytes, int], int] | None:
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    call.restype = ctypes.c_int
    return lambda source, target, flags: int(call(_AT_FDCWD, source, _AT_FDCWD, target, flags))


_renameat2: Final = _system_rename()


def _rename(source: Path, target: Path, flags: int) -> None:
    if _renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(source), None, str(target))
    if _renameat2(os.fsencode(source), os.fsencode(target), flags) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(source), None, str(target))


def exchange(source: Path, target: Path) -> None:
    """Let two existing names change places, in one step.

    Raises:
        OSError: ``EINVAL`` or ``ENOSYS`` where the file system or kernel cannot.
    """
    _rename(source, target, _RENAME_EXCHANGE)


def place_new(source: Path, target: Path) -> None:
    """Give a file its final name, unless something has that name.

    Raises:
        FileExistsError: something has; ``source`` stays.
    """
    try:
        _rename(source, target, _RENAME_NOREPLACE)
    except OSError as error:
        if error.errno not in _NOT_TO_BE_HAD:
            raise
        os.link(source, target)
        source.unlink()


def exchange_by_link(source: Path, target: Path) -> None:
    """Do what ``exchange`` does in three steps, where it is not to be had.

    A crash between the steps leaves the bytes of ``target`` beside ``source``, as ``<source>-out``.

    Raises:
        FileNotFoundError: ``target`` is gone; nothing was done.
        InterruptedError: somebody replaced ``target`` between the steps; nothing was done.
    """
    aside = aside_of(source)
    is_linked = _linked(target, aside)
    try:
        if is_linked and target.stat().st_ino != aside.stat().st_ino:
            raise InterruptedError(errno.EINTR, "replaced meanwhile", str(target))
        source.rename(target)
    except OSError:
        aside.unlink()
        raise
    aside.rename(source)


def aside_of(source: Path) -> Path:
    """Return the name under which ``exchange_by_link`` keeps what it takes out, between its steps."""
    return source.with_name(source.name + OUT)


def _linked(target: Path, aside: Path) -> bool:
    """Give a file a second name, or copy it where a file has one name only; return whether it is linked."""
    try:
        os.link(target, aside)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK):
            raise
        shutil.copy2(target, aside)
        return False
    return True


def probe(directory: Path, exchanging: Rename = exchange) -> Replacement:
    """Try on two files of its own whether names in a directory can be exchanged.

    Raises:
        OSError: the directory cannot be written.
    """
    names = [directory / f".probe.syncd-{secrets.token_hex(6)}" for _ in range(2)]
    try:
        for name in names:
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            exchanging(names[0], names[1])
        except OSError as error:
            if error.errno not in _NOT_TO_BE_HAD:
                raise
            return Replacement.LINK
        return Replacement.EXCHANGE
    finally:
        for name in names:
            name.unlink(missing_ok=True)


def fsync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_durable(path: Path) -> None:
    """Make a file's bytes and its name durable, whoever wrote them; of an absent one, its absence."""
    with suppress(FileNotFoundError):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    # Of a name in a folder that is not there, the folder's absence is what counts.
    fsync_directory(next(folder for folder in path.parents if folder.is_dir()))


def stage(staged: Path, data: bytes, like: Path, *, mode: int = 0o666) -> None:
    """Write a new file and fsync it, with mode, owner and extended attributes of ``like`` where that exists.

    Args:
        mode: what the user's mask leaves of it is the mode where ``like`` is absent.

    Raises:
        InputOutputError: no room, no permission; nothing of it stays.
    """
    try:
        model = like.stat()
    except FileNotFoundError:
        model = None
    except OSError as error:
        raise failure(error, f"Cannot look at {like}") from error
    try:
        # A private file must not be readable to others for a moment.
        private = mode if model is None else 0o600
        handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, private)
    except OSError as error:
        raise failure(error, f"Cannot write beside {like}") from error
    try:
        _write_all(handle, data)
        if model is not None:
            _copy_attributes(handle, model, like)
        os.fsync(handle)
    except OSError as error:
        # On a disk that fails even this may fail; what stays is a leftover.
        with suppress(OSError):
            staged.unlink()
        raise failure(error, f"Cannot write beside {like}") from error
    finally:
        os.close(handle)


def _write_all(handle: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]


def _copy_attributes(handle: int, model: os.stat_result, like: Path) -> None:
    """Owner first: a change of owner clears set-id bits.  Only the mode is a must."""
    mine = os.fstat(handle)
    if (mine.st_uid, mine.st_gid) != (model.st_uid, model.st_gid):
        try:
            os.fchown(handle, model.st_uid, model.st_gid)
        except PermissionError:
            with suppress(PermissionError):
                os.fchown(handle, -1, model.st_gid)
    os.fchmod(handle, stat.S_IMODE(model.st_mode))
    # Best effort: labels that only the system sets are refused, and not every file system has attributes.
    with suppress(OSError):
        for name in os.listxattr(like):
            with suppress(OSError):
                os.setxattr(handle, name, os.getxattr(like, name))


def write_whole(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Replace a file's content atomically and durably, whatever it held; its mode and owner are kept.

    Args:
        mode: what the user's mask leaves of it is the mode of a new file.

    For files that syncd alone writes: nothing is verified, nothing displaced is kept.

    Raises:
        InputOutputError: no room, no permission; the file is as it was.
    """
    staged = path.with_name(f".{path.name}.syncd-{secrets.token_hex(6)}")
    stage(staged, data, path, mode=mode)
    try:
        staged.replace(path)
        fsync_directory(path.parent)
    except OSError as error:
        staged.unlink(missing_ok=True)
        raise failure(error, f"Cannot replace {path}") from error
