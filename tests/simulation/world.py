"""A simulated world from a seed: working copies, one store, editors, other writers, accidents, and the end.

``World(seed).run()`` goes through a random history, lets everything come to rest, and has the oracle judge.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from syncd.core.plan import BaseCard, Hold
from syncd.engine.report import CycleReport
from syncd.errors import SyncdError
from syncd.files.atomic import OUT
from syncd.files.displaced import LOOKS_S
from syncd.schemas.card import Card
from tests.simulation import system
from tests.simulation.disk import Disk
from tests.simulation.editors import Editor, Session, Values
from tests.simulation.oracle import Oracle, Violation
from tests.simulation.person import Person
from tests.simulation.replica import Killed, Replica
from tests.simulation.scheduler import Profile, Scheduler
from tests.simulation.service import Service
from tests.simulation.state import SimulatedState
from tests.simulation.store import SimulatedDatabase
from tests.simulation.table import has_table, starting_text

CALL_S = 0.00005
"""What one call of syncd costs."""

SAVE_PAUSE_S_MAX = 0.25
"""The longest pause in the middle of a save: longer ones are taken for the end of it (``guards.settle_ms``)."""

ROUNDS_MAX = 80
"""Rounds of cycles in which a world has to come to rest."""

CONFLICTS_MAX = 6
"""Conflicts of a world that are settled once it has come to rest."""

EPOCH_NS = 1_700_000_000_000_000_000


class World:
    """Everything that a seed brings about.

    Args:
        steps: fewer steps than the seed would take, to find the shortest failing history.
    """

    def __init__(self, seed: int, *, steps: int | None = None, profile: Profile | None = None) -> None:
        self.rng = Random(seed)
        self.profile = profile or Profile.of(self.rng, Random(f"more of {seed}"))
        self.steps = self.profile.steps if steps is None else steps
        self.trace: list[str] = []
        self.now_s = 1000.0
        self.disk = Disk(lambda: EPOCH_NS + int(self.now_s * 1e9))
        self.database = SimulatedDatabase(self._committed)
        self.oracle = Oracle(self.database, self.note)
        self.oracle.durable = lambda root: self.disk.durable_bytes_of(f"{root}/TASKS.md")
        self.scheduler = Scheduler(self.profile, self.rng, self._others_act, self._lose_power, self.note)
        self.values = Values()
        self.replicas = [self._replica(name) for name in "abc"[: self.profile.replicas]]
        self.running: list[Replica] = []
        self.sessions: list[Session] = []
        self.service = Service(self.database, self.rng, self.values)
        self.held: dict[str, tuple[Hold, ...]] = {}
        self.person = Person(self.database, self.oracle, self.rng, self.note)

    # --- life -------------------------------------------------------------------------------------

    def run(self) -> None:
        """Live through the history, come to rest, and be judged.

        Raises: Violation, or what syncd let escape.
        """
        self.note(str(self.profile))
        with system.installed(self.disk, self._call, self.rng):
            self._begin()
            for _ in range(self.steps):
                self._step()
            self._come_to_rest()
            self._judge()
            self._decide_holds()
            self._settle_conflicts()

    def note(self, line: str) -> None:
        """Add a line to the trace."""
        self.trace.append(f"{self.now_s - 1000:8.3f} {'    ' * len(getattr(self, 'running', ()))}{line}")

    def _replica(self, name: str) -> Replica:
        return Replica(
            name,
            f"/{name}",
            self.disk,
            self.database,
            lambda: self.now_s,
            self._call,
            self.scheduler.is_lost_after_commit,
            self._advanced,
            self.profile.is_paced,
        )

    def _begin(self) -> None:
        rows: list[Mapping[str, str]] = []
        for number in range(1, self.profile.cards + 1):
            rows.append(
                {
                    "id": f"A{number}",
                    "title": self.values.text("t"),
                    "status": "not-started",
                    "priority": str(self.values.number()),
                    "note": self.values.text("n"),
                }
            )
        text = starting_text(
            rows, has_phases=self.profile.has_phases, newline=self.profile.newline, has_tail=self.profile.has_tail
        )
        self.oracle.begin(text.encode())
        for replica in self.replicas:
            self.disk.mkdir(replica.root)
            self.disk.mkdir(f"{replica.root}/.syncd")
            handle = self.disk.open(f"{replica.root}/TASKS.md", os.O_CREAT | os.O_WRONLY)
            self.disk.write(handle, text.encode())
            self.disk.fsync(handle)
            self.disk.close(handle)
            handle = self.disk.open(replica.root, os.O_RDONLY)
            self.disk.fsync(handle)
            self.disk.close(handle)
        self.note(text)

    def _step(self) -> None:
        deeds: list[tuple[float, Callable[[], None]]] = [
            (8, lambda: self._run_cycle(self.rng.choice(self.replicas))),
            (8, self._edit),
            (3, self.service.act),
            (2, self._pass_time),
            (0.5, self._kill_or_cut),
        ]
        if self.profile.has_backups:
            deeds += [(2, self.database.back_up), (2, self._restore)]
        if self.profile.has_outages:
            deeds += [(2, self._cut_off), (1, self._connect)]
        if self.profile.loses_state:
            deeds.append((2, self._lose_state))
        if self.profile.decides:
            deeds += [
                (6, self._answer),
                (9, lambda: self.person.settle(self._state_of(self.rng.choice(self.replicas)))),
            ]
        self.rng.choices([deed for _, deed in deeds], [weight for weight, _ in deeds])[0]()
        self._advance(self.rng.choice((0.0, 0.001, 0.01, 0.1)))

    def _pass_time(self) -> None:
        """Let a long time pass; a process that runs has seen what stands now before it is over."""
        for replica in self.replicas:
            if replica.cycle is not None:
                self._run_cycle(replica)
        self._advance(self.rng.choice((0.3, 1.0, 2.5, 11.0, 40.0)))

    def _advance(self, seconds: float) -> None:
        """Let time pass; an editor in the middle of a save goes on before it is taken for finished."""
        until = self.now_s + seconds
        while busy := [each for each in self.sessions if each.editor.is_saving]:
            session = min(busy, key=lambda each: each.stepped_at)
            if session.stepped_at + SAVE_PAUSE_S_MAX > until:
                break
            self._set_time(max(self.now_s, session.stepped_at + SAVE_PAUSE_S_MAX))
            self._step_session(session)
        self._set_time(until)

    def _set_time(self, now_s: float) -> None:
        self.database.advance(max(0.0, now_s - self.now_s))
        self.now_s = max(self.now_s, now_s)

    # --- the process under test -------------------------------------------------------------------

    def _run_cycle(self, replica: Replica, *, full: bool | None = None) -> CycleReport | None:
        """Run a cycle of a working copy; return its report, ``None`` when it failed or was killed."""
        if replica.cycle is None:
            replica.start()
            self.note(f"{replica.name} starts")
        told = len(self.trace)
        self.note(f"{replica.name} runs a cycle")
        self.running.append(replica)
        try:
            report = replica.run(full=self.rng.random() < 0.1 if full is None else full)
        except SyncdError as error:
            self.note(f"fails: {error.message}")
            if self.scheduler.is_calm:
                raise
            assert replica.cycle is not None
            replica.cycle.wake_fully()
            return None
        except Killed:
            replica.stop()
            return None
        finally:
            self.running.pop()
        if self.scheduler.is_quiet and not (report.to_store or report.to_file or report.conflicts or report.waits):
            del self.trace[told:]
        else:
            self._note_report(report)
        self.held[replica.name] = report.held
        return report

    def _note_report(self, report: CycleReport) -> None:
        for side, changes in (("store", report.to_store), ("file", report.to_file)):
            for change in changes:
                self.note(f"  -> {side}: {change.kind.value} {change.id} {dict(change.fields)}")
        for told in (*report.conflicts, *report.held, *report.waits):
            self.note(f"  -- {told}")
        for problem in report.problems:
            self.note(f"  -- problem {problem.code} line {problem.line}: {problem.message}")

    def _call(self, deed: str, where: str) -> None:
        """Stand before each call of the process under test."""
        self._set_time(self.now_s + CALL_S)
        if deed == "exchange" and not self.profile.has_exchange:
            raise OSError(errno.EINVAL, "no RENAME_EXCHANGE here", where)
        source, _, target = where.partition(" -> ")
        if "/displaced/" in source and target.endswith("TASKS.md"):
            self.oracle.taken_back(*(self.disk.bytes_of(path) or b"" for path in (source, target)))
        # Without it, two calls after the last look are a window that nothing can close (``syncd.files.atomic``):
        # a crash may fall into it, another writer may not.
        if self.profile.has_exchange or not (where.endswith(OUT) or (deed == "rename" and where.endswith(".md"))):
            self.scheduler.call(deed, where)
        else:
            self.scheduler.accident(deed, where)

    def _advanced(self, root: str, before: Mapping[str, BaseCard], after: Mapping[str, BaseCard]) -> None:
        self.oracle.base_is_honest(root, before, after, self.disk.bytes_of(f"{root}/TASKS.md") or b"")

    def _lose_power(self) -> None:
        self._cut_power(self.running[-1])

    def _cut_power(self, replica: Replica) -> None:
        path = f"{replica.root}/TASKS.md"
        is_saving = any(each.editor.is_saving and each.editor.root == replica.root for each in self.sessions)
        self.sessions = [each for each in self.sessions if each.editor.root != replica.root]
        torn = self.disk.power_cut(replica.root, self.rng)
        replica.medium.power_cut(self.rng)
        after = self.disk.bytes_of(path)
        self.oracle.power_cut(f"editor {replica.name}", after)
        if is_saving or torn:
            self.oracle.torn(after if torn == {path} else b"")
        self.note(f"  after the power cut {path} is {after!r}")

    def _kill_or_cut(self) -> None:
        replica = self.rng.choice(self.replicas)
        if replica.cycle is None or not self.profile.faults or self.scheduler.faults >= self.profile.faults_max:
            return
        self.scheduler.faults += 1
        if self.rng.random() < 0.5 or "power" not in self.profile.kinds:
            self.note(f"!! {replica.name} is killed between cycles")
        else:
            self.note(f"!! {replica.name} loses its power between cycles")
            self._cut_power(replica)
        replica.stop()

    def _cut_off(self) -> None:
        """Let the store be out of a working copy's reach, for as long as it takes; everybody else goes on."""
        replica = self.rng.choice(self.replicas)
        if replica.name not in self.database.out_of_reach_of:
            self.note(f"!! the store is out of {replica.name}'s reach")
            self.database.out_of_reach_of.add(replica.name)

    def _connect(self) -> None:
        if away := sorted(self.database.out_of_reach_of):
            back = self.rng.choice(away)
            self.note(f"!! the store is back in {back}'s reach")
            self.database.out_of_reach_of.remove(back)

    def _lose_state(self) -> None:
        """Take away what a working copy remembers, with its process: the disk has damaged it."""
        replica = self.rng.choice(self.replicas)
        if replica.medium.commits:
            self.note(f"!! {replica.name} loses its state")
            replica.stop()
            replica.medium.lose()
            self.oracle.forgotten(replica.data)

    def _answer(self) -> None:
        """Have what a working copy held last answered, while everybody goes on."""
        replica = self.rng.choice(self.replicas)
        self.person.answer(replica.name, self.held.get(replica.name, ()), self._state_of(replica))

    def _state_of(self, replica: Replica) -> SimulatedState:
        return SimulatedState(replica.medium, self._call, lambda before, after: None)

    # --- the others -------------------------------------------------------------------------------

    def _others_act(self) -> None:
        for _ in range(self.rng.choice((1, 1, 2, 4))):
            idle = [each for each in self.replicas if each not in self.running]
            if idle and len(self.running) < 3 and self.rng.random() < 0.2:
                self._run_cycle(self.rng.choice(idle))
            elif self.rng.random() < 0.65:
                self._edit()
            else:
                self.service.act()

    def _edit(self) -> None:
        """Take one step of an editor, which may be its first."""
        replica = self.rng.choice(self.replicas)
        mine = [each for each in self.sessions if each.editor.root == replica.root]
        if len(mine) < self.profile.editors and (not mine or self.rng.random() < 0.2):
            mine = [self._open_session(replica)]
        self._step_session(self.rng.choice(mine))

    def _open_session(self, replica: Replica) -> Session:
        name = f"editor {replica.name}{len([each for each in self.sessions if each.editor.root == replica.root])}"
        editor = Editor(name, replica.root, self.disk, self.rng, self.values, self.oracle)
        editor.clock = lambda: self.now_s
        editor.waits_for = lambda: any(
            each.editor.is_saving and each.editor.root == editor.root and each.editor is not editor
            for each in self.sessions
        )
        session = Session(editor, editor.session())
        self.sessions.append(session)
        return session

    def _step_session(self, session: Session) -> None:
        session.stepped_at = self.now_s
        step = next(session.steps, None)
        if step is None:
            session.editor.is_saving = False
            self.sessions.remove(session)
        else:
            self.note(f"{session.editor.name} {step}")

    def _committed(self, who: str, before: Mapping[str, Card], after: Mapping[str, Card]) -> None:
        self.oracle.committed(who, before, after)

    def _restore(self) -> None:
        before, clashes = dict(self.database.cards), self._conflicts()
        if self.database.restore("restore"):
            self.note("!! a backup of the store is restored")
            self.oracle.restored(before, clashes, [replica.data or b"" for replica in self.replicas])

    # --- the end ----------------------------------------------------------------------------------

    def _come_to_rest(self) -> None:
        """End what is under way, and run cycles until nothing moves any more."""
        self.scheduler.is_calm = True
        self.note("== everything comes to rest")
        while self.sessions:
            self._step_session(self.rng.choice(self.sessions))
            self._advance(0.01)
        self.service.finish_all()
        self.database.out_of_reach_of.clear()
        self.scheduler.is_quiet = True
        self._settle()

    def _settle(self) -> None:
        quiet, still_s = 0, 0.0
        for at in range(ROUNDS_MAX):
            before = self._footprint()
            reports = [self._run_cycle(replica, full=at % 2 == 0) for replica in self.replicas]
            waits = [wait.retry_ms / 1000 for report in reports if report for wait in report.waits]
            looks = [max(look, 2.0) for each in self.replicas if each.files and (look := each.files.next_look_s())]
            pause_s = min([*waits, *looks, 60.0]) + 0.001
            is_still = self._footprint() == before and not waits
            quiet = quiet + 1 if is_still and not looks else 0
            still_s = still_s + pause_s if is_still else 0.0
            # A late write that waits for a held file is told again and again: behind the last look that is no motion.
            if quiet == 2 or still_s > 2 * LOOKS_S[-1]:
                return
            self._advance(pause_s)
        raise Violation("I5: the world does not come to rest")

    def _footprint(self) -> object:
        """Return what must not move while nothing happens: rows, files, states."""
        files = [
            (found.number, found.mtime_ns) if (found := self.disk.names.get(f"{each.root}/TASKS.md")) else None
            for each in self.replicas
        ]
        versions = {id: card.version for id, card in self.database.cards.items()}
        return files, versions, [each.medium.commits for each in self.replicas], len(self._conflicts())

    def _conflicts(self) -> list[Any]:
        return [each.conflict for each in self.database.store().conflicts()]

    def _judge(self) -> None:
        holds = [hold for replica in self.replicas for hold in self.held.get(replica.name, ())]
        files = {replica.root: replica.data for replica in self.replicas}
        self.oracle.nothing_is_lost(files, holds, self._conflicts())
        self.oracle.sides_agree(files, holds, set())
        self.oracle.conflicts_are_real(self._conflicts())

    def _decide_holds(self) -> None:
        """Answer every hold as a person would, and see it end (I14); nothing is lost but what is let go on purpose."""
        for answer in (None, "reject"):
            for replica in self.replicas:
                self.person.answer(replica.name, self.held.get(replica.name, ()), self._state_of(replica), answer)
            self._settle()
            self._judge()
        left = [hold for holds in self.held.values() for hold in holds if not self._is_no_list(hold)]
        if left:
            raise Violation(f"I14: a decided hold stands: {left[0]}")

    def _settle_conflicts(self) -> None:
        """Settle what is in the conflict record, and see both sides come together again."""
        for _ in range(CONFLICTS_MAX):
            if not self._conflicts():
                return
            self.person.settle(self._state_of(self.rng.choice(self.replicas)))
            self._settle()
            self._judge()

    def _is_no_list(self, hold: Hold) -> bool:
        """Return whether a hold is about a file without a table, so that no row can be put back into it."""
        return hold.path is not None and not all(has_table(replica.data) for replica in self.replicas)
