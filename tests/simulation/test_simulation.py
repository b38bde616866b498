"""Two hundred worlds in which nothing is lost, and the simulated machine held against the real one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from syncd.core.plan import BaseCard
from syncd.files import atomic
from syncd.files.layout import Layout
from syncd.files.state import StateFile
from syncd.ports import Cursor, Journal, StagedFile, State
from tests.simulation.disk import Disk
from tests.simulation.state import SimulatedState, StateMedium
from tests.simulation.world import World

WORLDS = 200
GROUP = 20


@pytest.mark.parametrize("first", range(0, WORLDS, GROUP))
def test_nothing_is_lost(first: int) -> None:
    """Whatever editors, writers, kills, power cuts and errors do, each value is accounted for (I1-I9, I12-I14)."""
    for seed in range(first, first + GROUP):
        world = World(seed)
        try:
            world.run()
        except Exception as error:
            raise AssertionError(f"make sim SEED={seed}: {error}") from error


@pytest.mark.parametrize("seed", [3, 4])
def test_a_seed_is_a_whole_world(seed: int) -> None:
    """The same seed brings about the same history, call by call."""
    first, second = World(seed), World(seed)
    first.run()
    second.run()
    assert first.trace == second.trace


@pytest.mark.parametrize("seed", range(6))
def test_the_state_in_memory_is_like_the_file(tmp_path: Path, seed: int) -> None:
    """Whatever is asked of it, the simulated state answers as ``state.db`` does."""
    (tmp_path / "syncd.yaml").touch()
    real = StateFile(Layout(tmp_path))
    simulated = SimulatedState(StateMedium(), lambda deed, where: None, lambda before, after: None)
    rng = Random(seed)
    for _ in range(60):
        deed, look = rng.choice(STATE_DEEDS)(rng)
        for state in (real, simulated):
            deed(state)
        assert look(real) == look(simulated)
    real.close()


Ask = Callable[[State], object]


def _advance(rng: Random) -> tuple[Ask, Ask]:
    cards = [BaseCard(rng.choice("AB"), {"title": rng.choice("xyz")}, rng.randrange(3), "TASKS.md")]
    gone = rng.sample("AB", rng.randrange(2))
    cursor = rng.choice((None, Cursor("e", rng.randrange(9))))
    return lambda state: state.advance(cards, gone, cursor), lambda state: (dict(state.base()), state.cursor())


def _journal(rng: Random) -> tuple[Ask, Ask]:
    staged = (StagedFile("TASKS.md", "/staged", None, "new"),)
    journal = Journal(
        str(rng.random()), staged, {("TASKS.md", "row"): "A"}, {"A": {"title": "x"}}, {}, {"A": "TASKS.md"}
    )
    clears = rng.random() < 0.3
    return (
        lambda state: state.clear_journal() if clears else state.write_journal(journal),
        lambda state: state.journal(),
    )


def _version(rng: Random) -> tuple[Ask, Ask]:
    digest = rng.choice("abcde")
    data = digest.encode()

    def look(state: State) -> object:
        ranks = [state.version_rank("TASKS.md", each) for each in "abcde"]
        return ranks, state.version_bytes("TASKS.md", digest), state.newest_version("TASKS.md")

    return lambda state: state.remember_version("TASKS.md", digest, data), look


def _fact(rng: Random) -> tuple[Ask, Ask]:
    key, value = rng.choice("kl"), rng.choice((None, "1", "2"))
    return lambda state: state.set_meta(key, value), lambda state: [state.meta(each) for each in "kl"]


def _decision(rng: Random) -> tuple[Ask, Ask]:
    name, drops = rng.choice("pq"), rng.random() < 0.4

    def deed(state: State) -> None:
        if drops:
            state.drop_decisions([name])
        else:
            state.decide({name: "accept"})

    return deed, lambda state: dict(state.decisions())


STATE_DEEDS: tuple[Callable[[Random], tuple[Ask, Ask]], ...] = (_advance, _journal, _version, _fact, _decision)


class Machine:
    """A folder of a real or a simulated disk, with the calls that syncd and editors make."""

    def __init__(self, root: str, disk: Disk | None) -> None:
        self._root = root
        self._disk = disk
        self._handles: list[int] = []

    def do(self, deed: str, one: str, other: str, data: bytes) -> object:
        """Make one call; return what it answered, or the number of its error."""
        first, second = f"{self._root}/{one}", f"{self._root}/{other}"
        try:
            return (
                self._real(deed, first, second, data)
                if self._disk is None
                else self._simulated(deed, first, second, data)
            )
        except OSError as error:
            return error.errno

    def contents(self) -> dict[str, bytes]:
        """Return every file."""
        if self._disk is None:
            return {path.name: path.read_bytes() for path in Path(self._root).iterdir()}
        return {name: self._disk.bytes_of(f"{self._root}/{name}") or b"" for name in self._disk.entries(self._root)}

    def _real(self, deed: str, first: str, second: str, data: bytes) -> object:
        match deed:
            case "open":
                self._handles.append(os.open(first, os.O_RDWR | os.O_CREAT))
            case "truncate":
                self._handles.append(os.open(first, os.O_RDWR | os.O_TRUNC))
            case "append":
                self._handles.append(os.open(first, os.O_RDWR | os.O_APPEND))
            case "write":
                return os.write(self._handles[-1], data) if self._handles else None
            case "read":
                return os.read(self._handles[-1], 5) if self._handles else None
            case "close":
                return os.close(self._handles.pop()) if self._handles else None
            case "rename":
                Path(first).rename(second)
            case "exchange":
                atomic.exchange(Path(first), Path(second))
            case "place":
                atomic.place_new(Path(first), Path(second))
            case "link":
                os.link(first, second)
            case "unlink":
                Path(first).unlink()
        return None

    def _simulated(self, deed: str, first: str, second: str, data: bytes) -> object:
        disk = self._disk
        assert disk is not None
        match deed:
            case "open":
                self._handles.append(disk.open(first, os.O_RDWR | os.O_CREAT))
            case "truncate":
                self._handles.append(disk.open(first, os.O_RDWR | os.O_TRUNC))
            case "append":
                self._handles.append(disk.open(first, os.O_RDWR | os.O_APPEND))
            case "write":
                return disk.write(self._handles[-1], data) if self._handles else None
            case "read":
                return disk.read(self._handles[-1], 5) if self._handles else None
            case "close":
                return disk.close(self._handles.pop()) if self._handles else None
            case "rename":
                disk.rename(first, second)
            case "exchange":
                disk.exchange(first, second)
            case "place":
                disk.rename(first, second, is_new=True)
            case "link":
                disk.link(first, second)
            case "unlink":
                disk.unlink(first)
        return None


DEEDS = (
    "open",
    "truncate",
    "append",
    "write",
    "write",
    "read",
    "close",
    "rename",
    "exchange",
    "place",
    "link",
    "unlink",
)


@pytest.mark.parametrize("seed", range(10))
def test_the_disk_in_memory_is_like_the_kernels(tmp_path: Path, seed: int) -> None:
    """The same calls give the same answers, errors and files on the simulated disk and on a real one."""
    disk = Disk(lambda: 0)
    disk.mkdir("/m")
    machines = Machine(str(tmp_path), None), Machine("/m", disk)
    rng = Random(seed)
    for _ in range(80):
        deed, one, other, data = (
            rng.choice(DEEDS),
            rng.choice("abc"),
            rng.choice("abc"),
            rng.randbytes(rng.randrange(9)),
        )
        if one == other:
            continue
        answers = [machine.do(deed, one, other, data) for machine in machines]
        assert answers[0] == answers[1], (deed, one, other)
        assert machines[0].contents() == machines[1].contents(), (deed, one, other)
