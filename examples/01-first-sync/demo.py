"""The first sync, told step by step: every sentence that ends in a tick is checked before it is printed.

Run it with ``make demo``.  It works in a temporary folder with a Postgres of its own, takes less than
half a minute, and leaves nothing behind.
"""

from __future__ import annotations

import difflib
import json
import shutil
import signal
import sys
import time
from types import FrameType
from typing import Any

import voice
from stage import Failed, Stage, until


def check(holds: object, told: str) -> None:
    """Print a sentence of the story if it is true.  Raises Failed otherwise."""
    if not holds:
        raise Failed(f"this should hold, and does not: {told}")
    voice.good(told)


class Story:
    """The steps, in their order; each leaves the workspace as the next one finds it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.original = stage.text()
        self.has_git = shutil.which("git") is not None
        self.committed = self.original
        self.took_ms: dict[str, float] = {}

    def tell(self) -> None:
        """Tell the whole story.  Raises Failed at the first sentence that does not hold."""
        self.first_contact()
        self.an_edit_arrives()
        self.an_update_arrives()
        self.a_row_gets_its_id()
        self.both_change_the_same()
        self.nothing_else_changed()

    def first_contact(self) -> None:
        """``init`` looks at what is there; the daemon brings it into Postgres."""
        voice.title("1. A repository with a TASKS.md, and no database set up")
        if self.has_git:
            self.stage.git("init", "--quiet")
            self.commit("The board as its author wrote it")
        self.show("syncd init --yes", "init", "--yes")
        check((self.stage.root / "syncd.yaml").exists(), "this folder is a workspace now")
        check(self.stage.text() == self.original, "TASKS.md was not touched")

        voice.command("syncd run &")
        self.stage.start_daemon()
        cards = until(lambda: self.stage.sql("select count(*) from backlog having count(*) = 10"), "ten cards arrive")
        check(cards, "its ten tasks are rows of the table backlog in Postgres")
        check(self.stage.text() == self.original, "and TASKS.md still has not changed by a byte")

        voice.say("")
        voice.say("What the sides say can be compared now: mission.json calls milestone M1 done.")
        found = self.status()
        milestone = next(each for each in found["mission"]["milestones"] if each["id"] == "M1")
        check(
            milestone["status"] == "done" and milestone["cards"] == {"total": 3, "done": 0} and not milestone["agrees"],
            "the manifest says M1 is done, its three rows say not-started: both can be seen in one place",
        )

    def an_edit_arrives(self) -> None:
        """File to store: one cell."""
        voice.title("2. An agent edits one cell: TASKS.md → Postgres")
        query = "select status, version from backlog where id = 'HB-01'"
        started = time.perf_counter()
        self.stage.edit("| HB-01 | not-started |", "| HB-01 | done        |")
        rows = until(lambda: [row for row in self.stage.sql(query) if row[0] == "done"], "HB-01 is done in Postgres")
        self.took_ms["edit → Postgres"] = (time.perf_counter() - started) * 1000
        self.show_diff()
        voice.command(f"{query};", "sql>")
        voice.output(f"status: {rows[0][0]}, version: {rows[0][1]}")
        check(rows, f"HB-01 is done in Postgres, {self.took_ms['edit → Postgres']:.0f} ms after the file was saved")
        self.commit("HB-01 is done")

    def an_update_arrives(self) -> None:
        """Store to file: one row, by plain SQL."""
        voice.title("3. A service claims a card with plain SQL: Postgres → TASKS.md")
        update = (
            "update backlog set status = 'claimed', claim_owner = 'worker-7',"
            "\n         claimed_at = now(), claim_ttl_seconds = 900 where id = 'HB-02'"
        )
        voice.command(f"{update};", "sql>")
        started = time.perf_counter()
        self.stage.sql(update)
        until(lambda: "in-progress" in self.stage.line("| HB-02 "), "HB-02 is in progress in TASKS.md")
        self.took_ms["SQL → TASKS.md"] = (time.perf_counter() - started) * 1000
        changed = self.show_diff()
        check(
            changed == 1,
            f"one line of TASKS.md changed, {self.took_ms['SQL → TASKS.md']:.0f} ms after the commit; padding kept",
        )
        self.commit("HB-02 is in progress")

    def a_row_gets_its_id(self) -> None:
        """A row without an id gets one, in the table's own habit."""
        voice.title("4. Somebody adds a row and leaves the id to syncd")
        last = self.stage.line("| HB-07 ")
        row = "|       | not-started | —       | Send the skipper a receipt           | HB-07        |   |"
        self.stage.edit(last, f"{last}\n{row}")
        named = until(
            lambda: (line := self.stage.line("Send the skipper a receipt")).split("|")[1].strip() and line,
            "the new row gets its id",
        )
        self.show_diff()
        id = named.split("|")[1].strip()
        stored = self.stage.sql("select id, title, depends_on from backlog where title = 'Send the skipper a receipt'")
        check(
            [row[0] for row in stored] == [id],
            f"the row is {id} in the file and in Postgres: the next free number of its table's prefix",
        )
        self.commit(f"{id} is new")

    def both_change_the_same(self) -> None:
        """A clash: shown, settled, and nothing lost."""
        voice.title("5. The daemon is stopped, and both sides change the same title")
        voice.command("kill %1")
        check(self.stage.stop_daemon() == 0, "the daemon finished its step and exited with 0")
        self.stage.edit("Cancel a booking ", "Cancel a booking, free of charge ")
        update = "update backlog set title = 'Cancel a booking until noon' where id = 'HB-06'"
        self.stage.sql(update)
        voice.say(
            "The file now says “Cancel a booking, free of charge”; a service wrote “Cancel a booking until noon”."
        )
        found = self.status()
        clash = [(each["id"], each["field"], each["direction"]) for each in found["drift"]]
        check(clash == [("HB-06", "title", "conflict")], "status says where they differ before anything is written")
        self.show("syncd sync", "sync")
        titles = self.stage.sql("select title from backlog where id = 'HB-06'")
        check(
            titles == [("Cancel a booking, free of charge",)],
            "for a title the file wins, and Postgres has it",
        )
        self.show("syncd conflicts", "conflicts")
        conflicts = json.loads(self.stage.syncd("conflicts", "--json"))
        kept = [(each["id"], each["field"], each["remote"]) for each in conflicts]
        check(kept == [("HB-06", "title", "Cancel a booking until noon")], "the value that lost is kept until settled")
        self.show(
            "syncd resolve HB-06 --field title --use remote", "resolve", "HB-06", "--field", "title", "--use", "remote"
        )
        until(lambda: "Cancel a booking until noon" in self.stage.line("| HB-06 "), "the file shows the chosen title")
        check(
            json.loads(self.stage.syncd("conflicts", "--json")) == [],
            "no conflict is left, and the file shows the choice",
        )

    def nothing_else_changed(self) -> None:
        """In sync, and every byte that no change named is as it was."""
        voice.title("6. In the end")
        found = self.status()
        check(found["inSync"] and not found["problems"], "both sides say the same")
        before, after = self.original.splitlines(keepends=True), self.stage.text().splitlines(keepends=True)
        touched = [line[2:9].strip("| ") for line in difflib.ndiff(before, after) if line.startswith("+ ")]
        check(len(touched) == 4, f"of {len(after)} lines these four differ from the author's: {', '.join(touched)}")
        for what, took_ms in self.took_ms.items():
            voice.say(f"  {what}: {took_ms:.0f} ms")

    # --- how it is shown -----------------------------------------------------------------------------

    def show(self, typed: str, *words: str) -> None:
        """Run a command and show it with its output."""
        voice.command(typed)
        voice.output(self.stage.syncd(*words))

    def status(self) -> dict[str, Any]:
        """Show the status screen and return what it is made of."""
        self.show("syncd status", "status")
        found: dict[str, Any] = json.loads(self.stage.syncd("status", "--json"))
        return found

    def show_diff(self) -> int:
        """Show what changed in TASKS.md since the last commit and return how many lines that are."""
        voice.command("git diff TASKS.md")
        before, after = self.committed.splitlines(), self.stage.text().splitlines()
        unified = list(difflib.unified_diff(before, after, lineterm="", n=0))
        text = self.stage.git("diff", "--unified=0", "TASKS.md") if self.has_git else "\n".join(unified)
        voice.diff(text)
        return sum(line.startswith("+") and not line.startswith("+++") for line in text.splitlines())

    def commit(self, message: str) -> None:
        """Commit everything, so that the next diff shows the next change alone."""
        self.committed = self.stage.text()
        if self.has_git:
            self.stage.git("add", "--all")
            self.stage.git("commit", "--quiet", "--message", message)


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main() -> int:
    """Tell the story on a stage of its own and return the exit code."""
    signal.signal(signal.SIGTERM, _end)
    voice.suit_terminal()
    voice.say("syncd keeps TASKS.md and a Postgres backlog in step, both ways, live.")
    voice.say("This demo works in a temporary folder with a Postgres of its own and cleans up after itself.")
    started = time.perf_counter()
    try:
        with Stage() as stage:
            try:
                Story(stage).tell()
            except Failed as failure:
                if log := stage.daemon_log():
                    failure.add_note(f"\nThe daemon's last words:\n{log}")
                raise
    except Failed as failure:
        voice.bad("\n".join([str(failure), *getattr(failure, "__notes__", ())]))
        return 1
    except KeyboardInterrupt:
        voice.bad("stopped; everything is cleaned up")
        return 130
    voice.title(f"All of it held, in {time.perf_counter() - started:.0f} s.  The temporary folder is gone.")
    voice.say("Next: README.md, “Five minutes”.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
