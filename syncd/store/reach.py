"""Whether the database answers, and the way out and back: one for all stores of a process.

Out: the manifest is made of what was known at the last contact.  Back: what the manifest holds is merged into the
database by ``core.rejoin``, in transactions whose ids are noted before, so that a crash or a cut anywhere is answered
by doing it again.  A database that comes and goes is gone back to less and less eagerly.
May import ``syncd.core``, ``syncd.ports``, ``syncd.errors``, ``syncd.log`` and the store's own modules.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec.structs import replace

from syncd.core.plan import Policy
from syncd.core.rejoin import Fate
from syncd.core.retry import RETRIES, RetryPolicy
from syncd.core.values import CLAIM_OWNER, STATUS, is_same
from syncd.errors import StoreDamaged, StoreUnreachable, SyncdError
from syncd.log import event
from syncd.ports import Absence, Contact, KnownMissions, MissionView, Pending, Store
from syncd.schemas.card import Card, Fields, Status, card_fields
from syncd.schemas.mission import Records
from syncd.store.failover_listener import FailoverListener
from syncd.store.flatfile.manifest import Manifest
from syncd.store.flatfile.missions import rows_of
from syncd.store.flatfile.rules import ManifestStore
from syncd.store.flatfile.standin import Gone, Standin
from syncd.store.homecoming import bring_home

NOWHERE: Final = ""
"""The epoch of a place in a database that was never reached."""

RETRY_MIN_S: Final = 1.0
RETRY_MAX_S: Final = 60.0
SOON_S: Final = 0.05
CUTS_FREE: Final = 3
"""So many cuts in a minute are answered at once when the database is back; from then on it has to prove itself."""

_CUTS_IN: Final = timedelta(seconds=60)


class Reach:
    """Whether the database of a workspace answers.

    Args:
        contact: what is remembered of the database, to be written (True) or only read; what it gives says whether
            this process may write at all.
        standin: the manifest that stands in for it.
        policy: who wins where both sides changed a field.
        revive: brings back a database that this machine runs itself; False where others run it.
        pending: gives the batches of the journals, and what they set.
        missions_agreed: the mission records as files and store last agreed on them.
        new_id: a fresh id for a transaction, or for a manifest's history.
        retry: when a card that failed meanwhile is tried again.
    """

    def __init__(
        self,
        contact: Callable[[bool], Contact],
        standin: Standin,
        *,
        project: str,
        replica: Callable[[], str],
        policy: Policy,
        revive: Callable[[], bool],
        pending: Callable[[], Pending],
        missions_agreed: Callable[[], Records],
        new_id: Callable[[], str],
        clock: Callable[[], datetime],
        retry: RetryPolicy = RETRIES,
    ) -> None:
        self._contact = contact
        self.standin = standin
        self._project = project
        self._replica = replica
        self._policy = policy
        self._revive = revive
        self.pending = pending
        self._missions_agreed = missions_agreed
        self._new_id = new_id
        self._clock = clock
        self._retry = retry
        self._lock = threading.RLock()
        self._listeners: list[FailoverListener] = []
        self._cuts: deque[datetime] = deque()
        self._has_heard = False
        self._has_looked = False
        """Whether this process has looked for a manifest that nobody remembers."""
        self._is_trying = False
        """Whether somebody waits for the database right now, to see whether it is back."""
        self._returned: dict[str, Card] = {}
        self._shadow: Absence | None = None
        """The absence as a process sees it that must not write it down."""

    @property
    def contact(self) -> Contact:
        """What is remembered of the database."""
        return self._contact(False)

    def absence(self) -> Absence | None:
        """Return since when the database is away; ``None`` while it is not."""
        contact = self._contact(False)
        return contact.absence() or (self._shadow if contact.is_read_only else None)

    def take(self, cards: Iterable[Card]) -> None:
        """Write down cards as the database returned them, before whoever asked hears of them.

        Another process may find the database away in the next moment, and must not hand out what is leased.  What was
        done in the database is done: where nothing can be written now, it is remembered until it can.
        """
        with self._lock:
            self._returned.update((card.id, card) for card in cards)
            try:
                self.write_down()
            except SyncdError as error:
                event("contact.unwritten", level=logging.WARNING, message=error.message)

    def doubt(self, cards: Iterable[Card]) -> None:
        """Write down what a verb did to cards of what stands in, when the database was asked first and did not answer.

        It may have done the same.
        """
        with self._lock:
            contact = self._contact(True)
            absence = contact.absence()
            if absence is None or contact.is_read_only:
                return
            known = contact.cards()
            changed = {card.id: _changed(known.get(card.id), card) for card in cards}
            contact.be_away(replace(absence, perhaps={**absence.perhaps, **changed}))

    def write_down(self) -> None:
        """Write down what is remembered."""
        with self._lock:
            if self._returned:
                self._contact(True).take(list(self._returned.values()))
                self._returned.clear()

    def store(self, actor: str, face: str) -> ManifestStore:
        """Return a store on what stands in."""
        return ManifestStore(
            self.standin,
            project=self._project,
            actor=actor,
            face=face,
            replica=self._replica(),
            retry=self._retry,
        )

    def is_away(self, database: Callable[[], Store]) -> bool:
        """Return whether to work on what stands in, after going back to a database that is there again.

        Raises: what is wrong with a database that answers.
        """
        absence = self.absence()
        if absence is None and (self._has_looked or not self._is_left()):
            return False
        if absence is not None and self._is_trying:
            return True
        with self._lock:
            # What a process only imagined while it looked is over once it may write.
            is_read_only = self._contact(True).is_read_only
            absence = self.absence()
            if absence is None:
                return False
            return is_read_only or not (self._may_try(absence) and self._go_back(absence, database))

    def step_aside(self, error: StoreUnreachable, pending: Pending | None = None) -> None:
        """Have the manifest stand in for a database that does not answer.

        Args:
            pending: the batches whose outcome is unknown; by default those that the journals have.
        """
        with self._lock:
            pending = pending or self.pending()
            self.write_down()
            contact = self._contact(True)
            now = self._clock()
            self._cuts.append(now)
            while now - self._cuts[0] > _CUTS_IN:
                self._cuts.popleft()
            pause_s = _pause_s(len(self._cuts) - CUTS_FREE) if len(self._cuts) > CUTS_FREE else RETRY_MIN_S
            retry_at = now + timedelta(seconds=pause_s)
            absence = Absence(
                self._new_id(),
                now,
                error.message,
                retry_at=retry_at,
                commit_id=pending.commit_id,
                sent=pending.sent,
                mission_commit_id=pending.mission_commit_id,
                mission_sent=pending.mission_sent,
            )
            manifest = Manifest(epoch=absence.epoch, project=self._project, is_standin=True)
            if contact.is_read_only:
                self._fill(manifest, _known(contact))
                self.standin.imagine(manifest)
                self._shadow = replace(absence, retry_at=None)
                return
            with self.standin.exclusive():
                if contact.absence() is None and not self._take_up(error.message):
                    # First of all the contact must stand still: it is the ancestor of what is merged later.
                    contact.be_away(absence)
                    self._fill(manifest, _known(contact))
                    self.standin.begin(manifest)
                    event("store.offline", message=error.message)
            self._has_heard = False
            for listener in tuple(self._listeners):
                listener.switch()

    def _is_left(self) -> bool:
        """Return whether a manifest stood in for the database that nobody remembers any more; it is taken up."""
        with self._lock:
            self._has_looked = True
            if not self.standin.may_be_left:
                return False
            contact = self._contact(True)
            if contact.is_read_only or contact.cursor() is not None:
                return False
            with self.standin.exclusive():
                return contact.absence() is None and self._take_up("the state beside the files was lost")

    def _take_up(self, reason: str) -> bool:
        """Go on with a manifest that an absence left behind whose memory is lost; only while ``exclusive``.

        There is no last contact then: at the return nothing is deleted or overwritten, and what differs is a conflict.
        """
        contact = self._contact(True)
        left = self.standin.left() if contact.cursor() is None else None
        if left is None:
            return False
        contact.be_away(Absence(left.epoch, self._clock(), reason))
        event("manifest.taken_up", level=logging.WARNING, message=reason, cards=len(left.cards))
        return True

    def revive(self) -> bool:
        """Bring back a database that this machine runs itself; return whether there is one to try again."""
        if self._contact(True).is_read_only:
            return False
        try:
            return self._revive()
        except SyncdError as error:
            event("store.revive.failed", level=logging.WARNING, message=error.message)
            return False

    def rebuild(self, error: StoreDamaged) -> None:
        """Make the manifest anew from what was agreed, if its files cannot be trusted; they are kept aside.

        Looked at again while nobody writes it: to a reader a manifest that is just being made, or taken away, looks
        like another one, and is none that is damaged.
        """
        with self._lock, self.standin.exclusive():
            contact = self._contact(True)
            absence = contact.absence()
            try:
                self.standin.current()
            except Gone:
                return
            except StoreDamaged as found:
                if absence is None or contact.is_read_only:
                    raise error from found
                self._rebuild(absence, found)

    def _rebuild(self, absence: Absence, error: StoreDamaged) -> Absence:
        contact = self._contact(True)
        kept = self.standin.set_aside()
        manifest = Manifest(epoch=self._new_id(), project=self._project, is_standin=True)
        self._fill(manifest, contact.agreed(), agreed=self._missions_agreed())
        absence = replace(absence, epoch=manifest.epoch)
        contact.be_away(absence)
        self.standin.begin(manifest)
        event("manifest.rebuilt", level=logging.ERROR, message=error.message, kept=[each.name for each in kept])
        return absence

    def _fill(self, manifest: Manifest, cards: Mapping[str, Card], *, agreed: Records | None = None) -> None:
        """Put what is known into a manifest: the cards, and the missions and open conflicts of the last contact.

        Args:
            agreed: the mission records on which files and store agreed since.
        """
        manifest.fill(cards.values(), gone={})
        manifest.conflicts = {each.seq: each for each in self.contact.conflicts()}
        known = self.contact.missions() or KnownMissions(MissionView({}, 0), ())
        records = dict(known.view.records)
        for key, record in (agreed or {}).items():
            there = records.get(key, record)
            version = max(there.version, record.version) + (there.fields != record.fields)
            records[key] = replace(record, fields={**there.fields, **record.fields}, version=version)
        manifest.fill_missions(rows_of(replace(known, view=replace(known.view, records=records))))

    # --- back -------------------------------------------------------------------------------------

    def hurry(self) -> None:
        """Try the database at the next occasion, however often it has come and gone."""
        self._has_heard = True
        self._cuts.clear()

    def heard(self) -> None:
        """Note that the database has answered somebody."""
        self._has_heard = True

    def next_try_s(self) -> float | None:
        """Return in how many seconds the database is to be tried again; ``None`` while it is not away."""
        absence = self.absence()
        if absence is None:
            return None
        if absence.retry_at is None or (self._has_heard and self._is_steady):
            return SOON_S
        return max(SOON_S, (absence.retry_at - self._clock()).total_seconds())

    def _may_try(self, absence: Absence) -> bool:
        """Return whether it is time: a listener has heard the database answer, or the pause is over."""
        if self._has_heard and self._is_steady:
            return True
        left = timedelta() if absence.retry_at is None else absence.retry_at - self._clock()
        # A clock that was put back must not make the pause longer than any.
        return not timedelta() < left <= timedelta(seconds=RETRY_MAX_S)

    @property
    def _is_steady(self) -> bool:
        """Whether the database has not come and gone too often of late."""
        return len(self._cuts) <= CUTS_FREE

    def _go_back(self, absence: Absence, database: Callable[[], Store]) -> bool:
        """Merge what was done meanwhile into the database; return False when it still does not answer."""
        self._has_heard = False
        try:
            store = self._tried(database)
            with self.standin.exclusive():
                current = self._contact(True).absence()
                if current is not None:
                    self._merge(current, store)
        except StoreUnreachable as error:
            now, tries = self._clock(), absence.tries + 1
            current = self._contact(True).absence() or absence
            retry_at = now + timedelta(seconds=_pause_s(tries))
            self._contact(True).be_away(replace(current, tries=tries, retry_at=retry_at, reason=error.message))
            return False
        for listener in tuple(self._listeners):
            listener.switch()
        return True

    def _tried(self, database: Callable[[], Store]) -> Store:
        """Return the database once it has answered; others go on with what stands in meanwhile."""
        self._is_trying = True
        try:
            self.revive()
            store = database()
            store.info()
        finally:
            self._is_trying = False
        return store

    def _merge(self, absence: Absence, store: Store) -> None:
        try:
            manifest = self.standin.current()
        except StoreDamaged as error:
            absence = self._rebuild(absence, error)
            manifest = self.standin.current()
        fates = bring_home(
            manifest,
            store,
            self._contact(True),
            absence,
            self._policy,
            trail=self.standin.trail(),
            new_commit_id=self._new_id,
            now=self._clock,
        )
        self.standin.clear()
        told: dict[str, Any] = {fate.value: [id for id, each in fates.items() if each is fate] for fate in Fate}
        event("store.back", away_s=round((self._clock() - absence.since).total_seconds(), 1), **told)

    # --- listening --------------------------------------------------------------------------------

    def listen(self, database: Callable[[], Store], standin: Store, wake: Callable[[], None]) -> FailoverListener:
        """Call ``wake`` whenever the project may have changed, and when the database goes or comes."""
        listener = FailoverListener(self, database, standin, wake)
        self._listeners.append(listener)
        listener.switch()
        return listener

    def forget(self, listener: FailoverListener) -> None:
        """Tell a listener nothing any more."""
        if listener in self._listeners:
            self._listeners.remove(listener)


def _changed(before: Card | None, after: Card) -> Fields:
    """Return the fields that differ between two states of a card; of its lease only that it was given, not its end.

    Of a card that is new its state, too: what nobody knows of it would keep it from being removed again.
    """
    was, is_now = card_fields(before) if before is not None else {}, card_fields(after)
    names = dict.fromkeys((*is_now, *was))
    left_out = () if after.status is Status.CLAIMED or before is None else (STATUS, CLAIM_OWNER)
    return {
        name: is_now.get(name)
        for name in names
        if name not in left_out and not is_same(name, was.get(name), is_now.get(name))
    }


def _known(contact: Contact) -> Mapping[str, Card]:
    """Return the cards to begin with: those of the last contact, else what was agreed before contacts were kept."""
    return contact.cards() if contact.cursor() is not None else contact.agreed()


def _pause_s(tries: int) -> float:
    """Return how long to wait after so many tries: twice as long each time, with some chance in it."""
    return float(min(RETRY_MIN_S * 2.0 ** min(tries, 10), RETRY_MAX_S) * random.uniform(0.5, 1.0))
