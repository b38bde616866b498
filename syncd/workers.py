"""The workers of a project, as every face sees them: who is there, and the power to drain and to kill.

A worker's leases are held by its ``owner``, a name that only this one process has; its ``name`` is what it
was started as.  Orders go through the store, so that they reach a worker on any host.  May import
everything below the faces.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from syncd.core.worker import WorkerState, worker_state
from syncd.errors import AlreadyExists, BadValue, NotFound, NotOwner
from syncd.parsers.fields import is_id
from syncd.ports import CardFilter, Orders, Worker, WorkerCard, WorkerRegistry
from syncd.schemas.card import Status

if TYPE_CHECKING:
    from syncd.files.watch import Watch
    from syncd.ports import Listener
    from syncd.schemas.card import Card
    from syncd.wiring import Wiring

END_WAIT_S: Final = 15.0
"""How long a kill waits to see that what it ended has ended: longer than the time between the two signals."""

_LOOK_S: Final = 0.1
_TOKEN_BYTES: Final = 3


class Killed(msgspec.Struct, frozen=True):
    """What a kill reached: a card's process or a whole worker; ``has_ended`` is whether it was seen to be gone."""

    owner: str
    name: str
    host: str | None
    pid: int | None
    cards: tuple[str, ...]
    has_ended: bool


class _Both:
    """A subscription to the store, and a watch of files beside it."""

    def __init__(self, store: Listener, files: Watch) -> None:
        self._store = store
        self._files = files

    @property
    def mode(self) -> str:
        """How the store is heard."""
        return self._store.mode

    def hurry(self) -> None:
        """Have the store heard again at once."""
        self._store.hurry()

    def close(self) -> None:
        """End both."""
        self._store.close()
        self._files.close()


class Workers:
    """The registry of workers, and what they can be told."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    # --- for a worker itself ----------------------------------------------------------------------

    def join(self, name: str, *, concurrency: int, ttl_seconds: int, takes_assigned: bool) -> Worker:
        """Enter this process as a worker and return it with the owner that it claims as.  Raises BadValue."""
        if not is_id(name):
            raise BadValue(f"{name!r} cannot name a worker", hint="A name has no white space and no '|'.")
        worker = Worker(
            owner=name,
            name=name,
            host=socket.gethostname(),
            machine=this_machine(),
            pid=os.getpid(),
            concurrency=concurrency,
            ttl_s=ttl_seconds,
            takes_assigned=takes_assigned,
        )
        while True:
            named = replace(worker, owner=f"{name}.{secrets.token_hex(_TOKEN_BYTES)}")
            try:
                self._registry().join(named)
            except AlreadyExists:
                continue
            return named

    def join_again(self, worker: Worker) -> None:
        """Enter a worker that the store has forgotten; it keeps its owner."""
        self._registry().join(worker)

    def beat(self, owner: str, cards: Sequence[WorkerCard]) -> bool:
        """Record that a worker is here with these cards; False when the store has forgotten it."""
        return self._registry().beat(owner, cards)

    def orders(self, owner: str) -> Orders | None:
        """Return what a worker is to do and which leases it has; ``None`` when the store has forgotten it."""
        return self._registry().orders(owner)

    def leave(self, owner: str) -> None:
        """Take a worker out."""
        self._registry().leave(owner)

    def listen(self, wake: Callable[[], None], *, owner: str | None = None, hears_joins: bool = False) -> Listener:
        """Call ``wake`` (from any thread) whenever cards may have changed, and on orders to a worker or new workers.

        Orders and new workers come through the database, or as files where there is none, or none that answers.
        """
        store = self._wiring.store().listen(wake)
        if owner is None and not hears_joins:
            return store
        from syncd.files.watch import Watch
        from syncd.store.flatfile.workers import joined_file, order_files

        folder = self._folder(self._wiring.layout.workers)
        paths = (*(order_files(folder, owner) if owner else ()), *((joined_file(folder),) if hears_joins else ()))
        return _Both(store, Watch(lambda: paths, wake))

    @property
    def attempts_folder(self) -> Path:
        """Where the output of attempts is kept; made when absent."""
        return self._folder(self._wiring.layout.attempts)

    @property
    def worktrees_folder(self) -> Path:
        """Where the worktrees of attempts lie; made when absent."""
        return self._folder(self._wiring.layout.worktrees)

    # --- for everybody ----------------------------------------------------------------------------

    def all(self) -> Sequence[Worker]:
        """Return the workers that are entered, dead ones too."""
        return self._registry(may_make=False).workers()

    def unheard(self) -> Mapping[str, Sequence[str]] | None:
        """Return who held which cards when the database was last heard, but for workers that are listed.

        ``None`` while it answers: then nobody is hidden.
        """
        reach = self._wiring.reach
        if reach is None or self._wiring.absence() is None:
            return None
        listed = {each.owner for each in self.all()}
        held: dict[str, list[str]] = {}
        for id, card in sorted(reach.contact.cards().items()):
            if card.status is Status.CLAIMED and card.claim_owner is not None and card.claim_owner not in listed:
                held.setdefault(card.claim_owner, []).append(id)
        return held

    def drain(self, name: str | None = None) -> Sequence[Worker]:
        """Tell the workers of a name, or all, to claim nothing more and end when their cards are done.

        Raises: NotFound when there is no such worker.
        """
        chosen = self._chosen(name)
        told = set(self._registry().order_drain([each.owner for each in chosen], self._wiring.actor))
        return [each for each in chosen if each.owner in told]

    def kill_card(self, id: str, *, wait_seconds: float = END_WAIT_S) -> Sequence[Killed]:
        """End what runs for a card: its lease is taken and the card blocked, which ends its process on any host.

        Returns: what was ended; nothing when the card is not claimed.
        Raises: NotFound.
        """
        store = self._wiring.store()
        while (card := store.get(id)).status is Status.CLAIMED:
            try:
                store.block(id, f"killed by {self._wiring.actor}", attempt=card.attempts)
            except NotOwner:
                continue
            return [self._ended_card(card, wait_seconds)]
        return []

    def kill(self, name: str | None = None, *, wait_seconds: float = END_WAIT_S) -> Sequence[Killed]:
        """End the workers of a name, or all, with what they run; their cards are ready for others.

        A worker that is gone, and an owner that never was a worker, lose their leases at once.

        Raises: NotFound when a name is nobody's.
        """
        chosen = self._chosen(name, may_be_none=True)
        killed = [] if name is None else self._freed(name, {each.owner for each in chosen})
        for each in chosen:
            if state_of(each) is WorkerState.DEAD:
                self.bury(each.owner)
        told = set(self._registry().order_kill([each.owner for each in chosen], self._wiring.actor))
        left = self._until_gone(told, wait_seconds)
        for each in chosen:
            cards = tuple(card.id for card in each.cards)
            killed.append(Killed(each.owner, each.name, each.host, each.pid, cards, each.owner not in left))
        if name is not None and not killed:
            raise NotFound(f"nobody works as {name}", hint="syncd workers")
        return killed

    def bury(self, owner: str) -> Sequence[str]:
        """Give back the leases of a worker that is known to have ended with all it ran, and take it out."""
        store = self._wiring.store()
        freed = [card.id for card in store.list(CardFilter(owner=owner)) if _is_released(store.release, card)]
        self._registry().leave(owner)
        return freed

    def _chosen(self, name: str | None, *, may_be_none: bool = False) -> Sequence[Worker]:
        found = [each for each in self._registry().workers() if name in (None, each.name, each.owner)]
        if not found and name is not None and not may_be_none:
            raise NotFound(f"nobody works as {name}", hint="syncd workers")
        return found

    def _freed(self, owner: str, known: Collection[str]) -> list[Killed]:
        """Take the leases of an owner that is no worker."""
        store = self._wiring.store()
        if owner in known:
            return []
        cards = [card for card in store.list(CardFilter(owner=owner)) if _is_released(store.release, card)]
        return [Killed(owner, owner, None, None, tuple(card.id for card in cards), True)] if cards else []

    def _ended_card(self, card: Card, wait_seconds: float) -> Killed:
        """Wait until the worker that ran a card says, in a beat after the lease was taken, that it does no more."""
        owner = str(card.claim_owner)
        began = time.monotonic()
        pid: int | None = None
        while True:
            holder = next((each for each in self._registry().workers() if each.owner == owner), None)
            waited_s = time.monotonic() - began
            if holder is None:
                return Killed(owner, owner, None, pid, (card.id,), True)
            running = [each for each in holder.cards if (each.id, each.attempt) == (card.id, card.attempts)]
            pid = running[0].pid if running else pid
            has_ended = (not running and holder.age_s < waited_s) or state_of(holder) is WorkerState.DEAD
            if has_ended or waited_s >= wait_seconds:
                return Killed(owner, holder.name, holder.host, pid, (card.id,), has_ended)
            time.sleep(_LOOK_S)

    def _until_gone(self, owners: Collection[str], wait_seconds: float) -> set[str]:
        """Wait until workers have left; return those that have not."""
        deadline = time.monotonic() + wait_seconds
        while True:
            left = {each.owner for each in self._registry().workers()} & set(owners)
            if not left or time.monotonic() >= deadline:
                return left
            time.sleep(_LOOK_S)

    def _folder(self, folder: Path) -> Path:
        self._wiring.state()
        folder.mkdir(exist_ok=True)
        return folder

    def _registry(self, *, may_make: bool = True) -> WorkerRegistry:
        return self._wiring.registry(may_make=may_make)


def state_of(worker: Worker) -> WorkerState:
    """Return how a worker is; on its own machine a process that is gone shows at once."""
    is_gone = worker.machine == this_machine() and not Path(f"/proc/{worker.pid}").exists()
    is_ordered_out = worker.drain_requested_at is not None or worker.kill_requested_at is not None
    return worker_state(worker.age_s, is_gone=is_gone, is_ordered_out=is_ordered_out)


def this_machine() -> str:
    """Return a name of the running system in which process ids mean something: this boot, this namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{socket.gethostname()}/{secrets.token_hex(8)}"


def _is_released(release: Callable[..., Card], card: Card) -> bool:
    try:
        release(card.id, str(card.claim_owner), attempt=card.attempts)
    except NotOwner:
        return False
    return True
