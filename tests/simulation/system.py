"""The operating system as ``syncd.files`` sees it, over the simulated disk.

The real code runs; only the names by which its modules reach the system (``os``, ``Path``, the rename
system call, the clock of file times, randomness) mean the disk in memory while ``installed``.  Every
call asks ``hook`` first: there the scheduler lets others act, or has the call fail.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest import mock

from syncd.files import atomic, displaced, git_head, layout, paths, reading, task_files
from tests.simulation.disk import Disk

Hook = Callable[[str, str], None]

_PURE = frozenset({"strerror", "fsencode"})


class System:
    """The calls that ``os`` has, for the modules of ``syncd.files``."""

    def __init__(self, disk: Disk, hook: Hook) -> None:
        self.disk = disk
        self.hook = hook
        self.path = SimpleNamespace(realpath=_real, lexists=self._exists)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("O_") or name in _PURE:
            return getattr(os, name)
        raise AttributeError(f"the simulated system has no {name}")

    def _exists(self, path: Any) -> bool:
        self.hook("lexists", str(path))
        return str(path) in self.disk.names or str(path) in self.disk.folders

    def open(self, path: Any, flags: int, mode: int = 0o666) -> int:
        self.hook("open", str(path))
        return self.disk.open(str(path), flags, mode)

    def read(self, handle: int, size: int) -> bytes:
        self.hook("read", "")
        return self.disk.read(handle, size)

    def write(self, handle: int, data: Any) -> int:
        self.hook("write", "")
        return self.disk.write(handle, bytes(data))

    def close(self, handle: int) -> None:
        self.disk.close(handle)

    def fsync(self, handle: int) -> None:
        self.hook("fsync", "")
        self.disk.fsync(handle)

    def fstat(self, handle: int) -> SimpleNamespace:
        self.hook("fstat", "")
        return self.disk.fstat(handle)

    def lstat(self, path: Any) -> SimpleNamespace:
        return self.disk.stat(str(path))

    def link(self, source: Any, target: Any) -> None:
        self.hook("link", str(target))
        self.disk.link(str(source), str(target))

    def scandir(self, folder: Any) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=name) for name in self.disk.entries(str(folder))]

    def fchmod(self, handle: int, mode: int) -> None:
        self.disk.inode_of(handle)

    def listxattr(self, path: Any) -> list[str]:
        return []

    def getuid(self) -> int:
        return 0

    def rename(self, source: Any, target: Any) -> None:
        """Not of ``os`` as the modules use it; ``SimulatedPath.rename`` comes here."""
        self.hook("rename", f"{source} -> {target}")
        self.disk.rename(str(source), str(target))

    def renameat2(self, source: Any, target: Any, flags: int) -> None:
        """Stand for ``atomic._rename``."""
        deed = "exchange" if flags == atomic._RENAME_EXCHANGE else "place"
        self.hook(deed, f"{source} -> {target}")
        if deed == "exchange":
            self.disk.exchange(str(source), str(target))
        else:
            self.disk.rename(str(source), str(target), is_new=True)


class SimulatedPath(PurePosixPath):
    """A path whose input and output go to the installed system."""

    system: System

    def stat(self) -> SimpleNamespace:
        self.system.hook("stat", str(self))
        return self.system.disk.stat(str(self))

    def lstat(self) -> SimpleNamespace:
        return self.system.disk.stat(str(self))

    def read_bytes(self) -> bytes:
        self.system.hook("read whole", str(self))
        handle = self.system.disk.open(str(self), os.O_RDONLY)
        try:
            return self.system.disk.inode_of(handle).data
        finally:
            self.system.disk.close(handle)

    def rename(self, target: Any) -> SimulatedPath:
        self.system.rename(self, target)
        return SimulatedPath(target)

    replace = rename  # type: ignore[assignment]

    def unlink(self, missing_ok: bool = False) -> None:
        self.system.hook("unlink", str(self))
        with contextlib.suppress(FileNotFoundError) if missing_ok else contextlib.nullcontext():
            self.system.disk.unlink(str(self))

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        disk = self.system.disk
        if parents and str(self.parent) not in disk.folders:
            SimulatedPath(self.parent).mkdir(mode, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError) if exist_ok else contextlib.nullcontext():
            disk.mkdir(str(self))

    def is_dir(self) -> bool:
        return str(self) in self.system.disk.folders

    def is_file(self) -> bool:
        return str(self) in self.system.disk.names

    def is_symlink(self) -> bool:
        return False

    def exists(self) -> bool:
        return self.is_dir() or self.is_file()


def _real(path: Any) -> str:
    return os.path.normpath(str(path))


@contextmanager
def installed(disk: Disk, hook: Hook, rng: Random) -> Iterator[System]:
    """Let the modules of ``syncd.files`` run on a simulated disk, in this process, meanwhile."""
    system = System(disk, hook)
    tokens = SimpleNamespace(token_hex=lambda size: rng.randbytes(size).hex())
    clock = SimpleNamespace(time_ns=disk.now_ns)
    modules = (task_files, displaced, atomic, reading, paths, layout)
    names: list[tuple[Any, str, Any]] = [
        *((module, "os", system) for module in modules),
        *((module, "Path", SimulatedPath) for module in (*modules, git_head)),
        *((module, "secrets", tokens) for module in (displaced, atomic)),
        *((module, "time", clock) for module in (reading, paths)),
        (atomic, "_rename", system.renameat2),
        (SimulatedPath, "system", system),
    ]  # fmt: skip
    with contextlib.ExitStack() as stack:
        for owner, name, value in names:
            stack.enter_context(mock.patch.object(owner, name, value, create=name == "system"))
        yield system
