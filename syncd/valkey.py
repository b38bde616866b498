"""Push instead of poll: claimable cards, claim locks and events in Valkey (extra ``syncd[valkey]``).

The store stays the truth.  What stands here is made from it, by the daemon, and made again when Valkey was
restarted or emptied; a popped id still has to be claimed in the store, and a lost Valkey costs latency only.

    with syncd.open(".") as workspace, ValkeyQueue.connect(url, workspace) as queue:
        card = queue.claim("worker-1", ttl_seconds=600, wait_seconds=60)

May import ``syncd.api``, ``syncd.ports``, ``syncd.core``, ``syncd.schemas``, ``syncd.errors``, ``syncd.log``.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from types import TracebackType
from typing import Final, cast

import valkey
from valkey.exceptions import ValkeyError, WatchError

from syncd.api import Workspace
from syncd.core.events import event_json
from syncd.errors import BadValue, Paused, SyncdError
from syncd.log import event
from syncd.ports import CardFilter, Listener
from syncd.schemas.card import Card, Status

READY_MAX: Final = 1000
"""So many of the best claimable cards stand in the list."""

REPUSH_S: Final = 5.0
"""A card that was popped and not claimed stands in the list again after this time."""

LOOK_MIN_S: Final = 0.05
RETRY_MIN_S: Final = 0.5
RETRY_MAX_S: Final = 30.0
EVENTS_PAGE: Final = 200
_TIMEOUT_S: Final = 5.0
_POP_S: Final = 5.0
"""One pop waits no longer: a Valkey that vanished is noticed soon after."""

# Nobody but who set it takes a lock away: the value is compared and deleted in one step.
RELEASE: Final = """
if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end
return 0"""

# A lock is taken when there is none, or one of an older attempt; one's own gets a new time to live.  What somebody
# else wrote there in another form stands until it ends.
ACQUIRE: Final = """
local held = redis.call('get', KEYS[1])
if held and held ~= ARGV[1] then
    local is_json, said = pcall(cjson.decode, held)
    local attempt = is_json and type(said) == 'table' and tonumber(said['attempt'])
    if not attempt or attempt >= tonumber(ARGV[3]) then return 0 end
end
if ARGV[2] == '0' then redis.call('set', KEYS[1], ARGV[1]) else redis.call('set', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return 1"""


class Names:
    """The keys of one project."""

    def __init__(self, project: str) -> None:
        self._base = f"mosaic:queue:project:{project}"
        self.ready: Final = f"{self._base}:ready"
        self.events: Final = f"{self._base}:events"
        self.made: Final = f"{self._base}:ready:made"

    def lock(self, id: str) -> str:
        """Return the key of a card's claim lock."""
        return f"{self._base}:lock:{id}"


def connect(url: str) -> valkey.Valkey:
    """Return a client; nothing is connected before it is used.  Raises BadValue for what is no address."""
    try:
        return valkey.Valkey.from_url(
            url, socket_timeout=_TIMEOUT_S + _POP_S, socket_connect_timeout=_TIMEOUT_S, decode_responses=True
        )
    except ValueError as error:
        raise BadValue(f"this is no address of a Valkey: {error}", hint="valkey://host:6379/0") from error


class Mirror:
    """Keeps list, locks and events of a project as the store has them, in a thread of its own, until it is closed."""

    def __init__(self, workspace: Workspace, url: str) -> None:
        self._workspace = workspace
        self._names = Names(workspace.project)
        self._client = connect(url)
        self._acquire = self._client.register_script(ACQUIRE)
        self._release = self._client.register_script(RELEASE)
        self._woken = threading.Event()
        self._stopped = threading.Event()
        self._listed: list[str] = []
        self._popped: dict[str, float] = {}
        self._locked: dict[str, tuple[str, datetime | None]] = {}
        self._place: int | None = None
        self._thread = threading.Thread(target=self._run, name="syncd-valkey", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop mirroring; what stands in Valkey stays."""
        self._stopped.set()
        self._woken.set()
        self._thread.join()
        self._client.close()  # type: ignore[no-untyped-call]  # of redis

    def _run(self) -> None:
        listener: Listener | None = None
        pause_s = RETRY_MIN_S
        is_away = False
        try:
            while not self._stopped.is_set():
                self._woken.clear()
                began = time.monotonic()
                try:
                    if listener is None:
                        self._place = self._last_event()
                        listener = self._workspace.workers.listen(self._woken.set)
                    self.look()
                except (SyncdError, ValkeyError, OSError) as error:
                    if not is_away:
                        event("valkey.away", message=str(error))
                    is_away = True
                    self._stopped.wait(pause_s)
                    pause_s = min(2 * pause_s, RETRY_MAX_S)
                    continue
                if is_away:
                    event("valkey.back")
                is_away, pause_s = False, RETRY_MIN_S
                self._woken.wait(self._pause_s())
                self._stopped.wait(max(0.0, began + LOOK_MIN_S - time.monotonic()))
        finally:
            if listener is not None:
                listener.close()

    def _pause_s(self) -> float:
        """Return how long nothing has to be looked at unless the store says so."""
        due_s = self._workspace.backlog.next_due_s()
        return REPUSH_S if due_s is None else min(REPUSH_S, due_s + 0.001)

    def look(self) -> None:
        """Bring Valkey in line with the store, once."""
        if not self._client.exists(self._names.made):
            # A Valkey that is new, was emptied or was restarted without its data.
            self._listed, self._popped, self._locked = [], {}, {}
        self._mirror_ready()
        self._mirror_locks()
        self._client.set(self._names.made, "1")
        self._publish()

    def _mirror_ready(self) -> None:
        """Have the list hold the claimable cards, best first, without those that were popped a moment ago."""
        claimable = [each.id for each in self._workspace.backlog.list(CardFilter(ready_only=True, limit=READY_MAX))]
        now = time.monotonic()
        with self._client.pipeline() as pipe:
            while True:
                try:
                    pipe.watch(self._names.ready)  # type: ignore[no-untyped-call]  # of redis
                    there = cast("list[str]", pipe.lrange(self._names.ready, 0, -1))
                    wanted = self._wanted(claimable, set(there), now)
                    if there != wanted:
                        pipe.multi()
                        pipe.delete(self._names.ready)
                        if wanted:
                            pipe.rpush(self._names.ready, *wanted)
                        pipe.execute()  # type: ignore[no-untyped-call]  # of redis
                    break
                except WatchError:
                    continue
        self._listed = wanted

    def _wanted(self, claimable: Sequence[str], there: set[str], now: float) -> list[str]:
        """Return what the list is to hold; notes what was popped since it was last written."""
        still = set(claimable)
        gone = [id for id in self._listed if id not in there]
        self._popped = {
            id: at
            for id, at in {**dict.fromkeys(gone, now), **self._popped}.items()
            if id in still and now - at < REPUSH_S
        }
        return [id for id in claimable if id not in self._popped]

    def _mirror_locks(self) -> None:
        """Have a lock for each live lease, and none for one that has ended."""
        held: dict[str, tuple[str, datetime | None]] = {}
        for card in self._workspace.backlog.list(CardFilter(status=Status.CLAIMED)):
            value = lock_value(card)
            held[card.id] = value, card.claimed_at
            if self._locked.get(card.id) != held[card.id]:
                self._acquire(keys=[self._names.lock(card.id)], args=[value, lease_ms(card), card.attempts])
        for id, (value, _) in self._locked.items():
            if id not in held or held[id][0] != value:
                self._release(keys=[self._names.lock(id)], args=[value])
        self._locked = held

    def _publish(self) -> None:
        """Publish what happened since the last look."""
        while page := list(islice(self._workspace.backlog.events(self._place), EVENTS_PAGE)):
            for each in page:
                self._client.publish(self._names.events, json.dumps(event_json(each), ensure_ascii=False))
            self._place = page[-1].seq

    def _last_event(self) -> int | None:
        last = self._workspace.past.history(limit=1)
        return last[-1].seq if last else None


class ValkeyQueue:
    """What an agent uses: waits for a claimable card without asking the store, and claims it there."""

    def __init__(self, client: valkey.Valkey, workspace: Workspace) -> None:
        self._client = client
        self._workspace = workspace
        self._names = Names(workspace.project)
        self._acquire = client.register_script(ACQUIRE)
        self._release = client.register_script(RELEASE)

    @classmethod
    def connect(cls, url: str, workspace: Workspace) -> ValkeyQueue:
        """Return the queue of a workspace's project."""
        return cls(connect(url), workspace)

    def __enter__(self) -> ValkeyQueue:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.close()  # type: ignore[no-untyped-call]  # of redis

    def claim(self, owner: str, ttl_seconds: int, *, wait_seconds: float) -> Card | None:
        """Claim the next card that Valkey names; ``None`` when the time is over.

        A Valkey that is away costs nothing but speed: the store is waited on instead.
        """
        deadline = time.monotonic() + wait_seconds
        while (left_s := deadline - time.monotonic()) > 0:
            try:
                popped = self._pop(min(left_s, _POP_S))
            except (ValkeyError, OSError) as error:
                event("valkey.away", message=str(error))
                return self._workspace.backlog.claim(owner, ttl_seconds, wait_seconds=left_s)
            if popped is None:
                continue
            try:
                card = self._workspace.backlog.claim(owner, ttl_seconds, id=popped)
            except Paused:
                return self._workspace.backlog.claim(owner, ttl_seconds, wait_seconds=left_s)
            if card is not None:
                self.lock(card)
                return card
        return None

    def _pop(self, wait_s: float) -> str | None:
        popped = cast("tuple[str, str] | None", self._client.blpop([self._names.ready], timeout=cast("int", wait_s)))
        return None if popped is None else popped[1]

    def lock(self, card: Card) -> bool:
        """Set the lock of a card that was claimed; False when a later attempt has it, or Valkey is away."""
        try:
            value, ttl_ms = lock_value(card), lease_ms(card)
            return bool(self._acquire(keys=[self._names.lock(card.id)], args=[value, ttl_ms, card.attempts]))
        except (ValkeyError, OSError):
            return False

    def unlock(self, card: Card) -> bool:
        """Take away the lock that ``lock`` set for this claim, and no other."""
        try:
            return bool(self._release(keys=[self._names.lock(card.id)], args=[lock_value(card)]))
        except (ValkeyError, OSError):
            return False


def lock_value(card: Card) -> str:
    """Return what a lock says: the owner, and the attempt that is the fencing number."""
    return json.dumps({"owner": card.claim_owner, "attempt": card.attempts}, ensure_ascii=False)


def lease_ms(card: Card) -> int:
    """Return a lock's time to live: the lease's; 0 for a lease without an end."""
    return (card.claim_ttl_seconds or 0) * 1000
