"""Task files in real git repositories: merged by syncd's driver, taken back in time, and synced all the while."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd import git_merge
from syncd.errors import NotFound
from syncd.schemas.config import Config, TaskEntry
from tests.support.workspace import TABLE, Site, site

ENVIRON = {
    "PATH": os.environ.get("PATH", ""),
    "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "LC_ALL": "C",
    **{f"GIT_{who}_{what}": "tester@host" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}
ATTRIBUTES = "/TASKS.md merge=syncd\n"


class Repository:
    """A git working copy with a task file in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.file = root / "TASKS.md"

    def git(self, *words: str, code: int = 0) -> str:
        """Run git and return what it prints; assert how it ends."""
        command = ["git", *words]
        ended = subprocess.run(command, cwd=self.root, env=ENVIRON, capture_output=True, check=False, text=True)
        assert ended.returncode == code, (words, ended)
        return ended.stdout

    @property
    def text(self) -> str:
        return self.file.read_text()

    def edit(self, *pairs: str) -> None:
        """Replace places of the task file."""
        text = self.text
        for was, becomes in zip(pairs[::2], pairs[1::2], strict=True):
            assert text.count(was) == 1, (was, text)
            text = text.replace(was, becomes)
        self.file.write_text(text)

    def commit(self, *pairs: str) -> None:
        """Edit the task file and commit everything."""
        self.edit(*pairs)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "edit")

    def branch(self, name: str, *pairs: str) -> None:
        """Commit an edit on a new branch, and come back."""
        self.git("checkout", "--quiet", "-b", name)
        self.commit(*pairs)
        self.git("checkout", "--quiet", "-")

    def unmerged(self) -> list[str]:
        return self.git("diff", "--name-only", "--diff-filter=U").split()


def begin(root: Path, text: str = TABLE) -> Repository:
    """Make a repository with a task file, which git merges with syncd."""
    root.mkdir(parents=True, exist_ok=True)
    made = Repository(root)
    made.git("init", "--quiet", "--initial-branch", "main")
    (root / ".gitignore").write_text(".syncd/\nsyncd.yaml\n")
    made.file.write_text(text)
    git_merge.install(root, Config(), ENVIRON)
    made.commit()
    return made


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return begin(tmp_path / "a repository")


# --- the driver ------------------------------------------------------------------------------------


def test_merge_of_two_edits_of_one_line(repository: Repository) -> None:
    """git merge joins a title and a priority of one row, which git alone would call a conflict."""
    repository.branch("other", "| A1 | 2 |", "| A1 | 9 |")
    repository.commit("Write the parser", "Write a parser")
    repository.git("merge", "--quiet", "other")
    assert "| A2 | Write a parser | not-started | A1 | 9 | |" in repository.text
    assert repository.git("status", "--porcelain") == ""


def test_merge_with_a_true_clash(repository: Repository) -> None:
    """Two titles for one card stop the merge, with standard markers around that row and nothing else."""
    repository.branch("other", "Write the parser", "Write my parser", "| A1, A2 | 0 |", "| A1, A2 | 7 |")
    repository.commit("Write the parser", "Write a parser")
    repository.git("merge", "--quiet", "other", code=1)
    assert repository.unmerged() == ["TASKS.md"]
    assert repository.text == TABLE.replace("| A1, A2 | 0 |", "| A1, A2 | 7 |").replace(
        "| A2 | Write the parser | not-started | A1 | 2 | |\n",
        "<<<<<<< ours\n"
        "| A2 | Write a parser | not-started | A1 | 2 | |\n"
        "=======\n"
        "| A2 | Write my parser | not-started | A1 | 2 | |\n"
        ">>>>>>> theirs\n",
    )


def test_rebase_of_several_commits(repository: Repository) -> None:
    """git rebase carries commit after commit over edits of the same rows."""
    repository.git("checkout", "--quiet", "-b", "topic")
    repository.commit("Write the parser", "Write a parser")
    repository.commit("| A1, A2 | 0 |", "| A1 | 0 |")
    repository.commit("\nSome words after it.", "| A4 | Ship | not-started | A3 | 0 | |\n\nSome words after it.")
    repository.git("checkout", "--quiet", "main")
    repository.commit("parser | not-started", "parser | done", "| A1, A2 | 0 |", "| A1, A2 | 5 |")
    repository.commit("\nSome words after it.", "| A5 | Sell | not-started | A3 | 0 | |\n\nSome words after it.")
    repository.git("rebase", "--quiet", "main", "topic")
    assert "| A2 | Write a parser | done | A1 | 2 | |\n" in repository.text
    assert "not-started | A1 | 5 | |\n" in repository.text
    rows = [line.split("|")[1].strip() for line in repository.text.splitlines() if line.startswith("| A")]
    assert sorted(rows) == ["A1", "A2", "A3", "A4", "A5"]


def test_cherry_pick(repository: Repository) -> None:
    """git cherry-pick takes one commit's fields over, and not its neighbours'."""
    repository.git("checkout", "--quiet", "-b", "other")
    repository.commit("| A1 | 2 |", "| A1 | 9 |")
    repository.commit("parser | not-started", "parser | blocked")
    repository.git("checkout", "--quiet", "main")
    repository.commit("Write the parser", "Write a parser")
    repository.git("cherry-pick", "other")
    assert "| A2 | Write a parser | blocked | A1 | 2 | |" in repository.text


def test_stash_pop(repository: Repository) -> None:
    """git stash pop brings edits back onto rows that changed meanwhile."""
    repository.edit("| A1 | 2 |", "| A1 | 9 |")
    repository.git("stash", "--quiet")
    repository.commit("Write the parser", "Write a parser")
    repository.git("stash", "pop", "--quiet")
    assert "| A2 | Write a parser | not-started | A1 | 9 | |" in repository.text


def test_worktree(repository: Repository, tmp_path: Path) -> None:
    """What is installed in one working copy works in its worktrees."""
    repository.branch("other", "| A1 | 2 |", "| A1 | 9 |")
    repository.git("worktree", "add", "--quiet", "-b", "beside", str(tmp_path / "beside"))
    beside = Repository(tmp_path / "beside")
    beside.commit("Write the parser", "Write a parser")
    beside.git("merge", "--quiet", "other")
    assert "| A2 | Write a parser | not-started | A1 | 9 | |" in beside.text


def test_a_clone_needs_no_workspace(repository: Repository, tmp_path: Path) -> None:
    """A fresh clone, as CI has it, merges with nothing but the driver in its config: no workspace, no store."""
    repository.branch("other", "| A1 | 2 |", "| A1 | 9 |")
    repository.commit("Write the parser", "Write a parser")
    subprocess.run(["git", "clone", "--quiet", repository.root, tmp_path / "clone"], env=ENVIRON, check=True)
    clone = Repository(tmp_path / "clone")
    driver = f"'{sys.executable}' -P -m syncd git merge-driver %O %A %B %P"
    clone.git("-c", f"merge.syncd.driver={driver}", "merge", "--quiet", "origin/other")
    assert "| A2 | Write a parser | not-started | A1 | 9 | |" in clone.text
    assert not (clone.root / ".syncd").exists()


def test_the_marker_size_is_the_repositorys(repository: Repository) -> None:
    """A longer marker that .gitattributes asks for is used."""
    (repository.root / ".gitattributes").write_text(ATTRIBUTES + "TASKS.md conflict-marker-size=12\n")
    repository.commit()
    repository.branch("other", "Write the parser", "Write my parser")
    repository.commit("Write the parser", "Write a parser")
    repository.git("merge", "--quiet", "other", code=1)
    assert "\n<<<<<<<<<<<< ours\n" in repository.text
    assert "\n============\n" in repository.text


def test_a_workspaces_own_words_count(tmp_path: Path) -> None:
    """A file that only the configuration's headers make a task table is merged by them."""
    repository = begin(tmp_path / "spanish", TABLE.replace("| id | title | status |", "| clave | title | estado |"))
    (repository.root / "syncd.yaml").write_text("headers: {clave: id, estado: status}\n")
    repository.branch("other", "| A1 | 2 |", "| A1 | 9 |")
    repository.commit("Write the parser", "Write a parser")
    repository.git("merge", "--quiet", "other")
    assert "| A2 | Write a parser | not-started | A1 | 9 | |" in repository.text


# --- install ---------------------------------------------------------------------------------------


def test_install_twice_and_uninstall(repository: Repository) -> None:
    """A second install changes nothing; uninstall takes out what install put in, and nothing else."""
    attributes = repository.root / ".gitattributes"
    before = (attributes.read_bytes(), (repository.root / ".git" / "config").read_bytes())
    assert attributes.read_text() == ATTRIBUTES
    assert not git_merge.install(repository.root, Config(), ENVIRON).changed
    assert (attributes.read_bytes(), (repository.root / ".git" / "config").read_bytes()) == before
    attributes.write_text("*.png binary\n" + ATTRIBUTES + "*.md text")
    done = git_merge.uninstall(repository.root, ENVIRON)
    assert (done.changed, done.driver, done.lines) == (True, None, ())
    assert attributes.read_text() == "*.png binary\n*.md text"
    assert "syncd" not in (repository.root / ".git" / "config").read_text()
    assert not git_merge.uninstall(repository.root, ENVIRON).changed


def test_install_makes_and_uninstall_removes_its_own_file(tmp_path: Path) -> None:
    """Where there was no .gitattributes there is none again; a line without its end gets one before ours."""
    made = Repository(tmp_path)
    made.git("init", "--quiet")
    git_merge.install(tmp_path, Config(), ENVIRON)
    git_merge.uninstall(tmp_path, ENVIRON)
    assert not (tmp_path / ".gitattributes").exists()
    (tmp_path / ".gitattributes").write_text("*.png binary")
    git_merge.install(tmp_path, Config(), ENVIRON)
    assert (tmp_path / ".gitattributes").read_text() == "*.png binary\n" + ATTRIBUTES


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("docs/my tasks.md", "docs/my tasks.md"),
        ("docs/**/TASKS.md", "docs/a/b/TASKS.md"),
        ('say "hi".md', 'say "hi".md'),
        ("übung.md", "übung.md"),
        ("back\\slash.md", "back\\slash.md"),
    ],
)
def test_patterns_mean_the_files(tmp_path: Path, path: str, file: str) -> None:
    """Whatever a task file is called, its line in .gitattributes gives it, and no other, to the driver."""
    made = Repository(tmp_path / "workspace in a repository")
    made.root.mkdir()
    Repository(tmp_path).git("init", "--quiet")
    git_merge.install(made.root, Config(tasks=(TaskEntry(path),)), ENVIRON)
    told = made.git("check-attr", "-z", "merge", "--", file, f"other/{file}").split("\0")
    assert told[2] == "syncd"
    assert told[5] == "unspecified"


def test_outside_a_repository(tmp_path: Path) -> None:
    """Where there is no repository, install says so."""
    with pytest.raises(NotFound, match="in no git working copy"):
        git_merge.install(tmp_path, Config(), ENVIRON)


# --- git and the sync ------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path, postgres_dsn: str) -> Iterator[Site]:
    """A workspace in sync, in a repository with its first version."""
    with site(tmp_path / "a shop", postgres_dsn) as made:
        begin(made.root)
        made.sync()
        yield made


def test_case_23_a_clash_holds_the_sync_until_it_is_mended(here: Site) -> None:
    """The markers of a merge hold the file: nothing of it reaches the store before a person has chosen."""
    repository = Repository(here.root)
    repository.branch("other", "Write the parser", "Write my parser")
    repository.commit("Write the parser", "Write a parser")
    here.sync()
    repository.git("merge", "--quiet", "other", code=1)
    (hold,) = here.sync().held
    assert (hold.id, hold.guard) == ("TASKS.md", "markers")
    assert here.column("title", "A2") == "Write a parser"
    lines = repository.text.splitlines(keepends=True)
    chosen = [line for line in lines if line[0] not in "<>=" and "a parser" not in line]
    repository.file.write_text("".join(chosen))
    assert here.sync().held == ()
    assert here.column("title", "A2") == "Write my parser"


def test_a_merge_is_an_ordinary_edit(here: Site) -> None:
    """Fields that a merge brings in go to the store, and rows that it adds become cards."""
    repository = Repository(here.root)
    end = "\nSome words after"
    repository.branch("other", "| A1 | 2 |", "| A1 | 9 |", end, f"| A4 | Ship | done | | | |\n{end}")
    repository.commit("Write the parser", "Write a parser")
    here.sync()
    repository.git("merge", "--quiet", "other")
    report = here.sync()
    assert (report.held, report.conflicts) == ((), ())
    card = here.card("A2")
    assert (card.title, card.priority, here.card("A4").status) == ("Write a parser", 9, "done")


def test_committing_an_edit_is_no_time_travel(here: Site) -> None:
    """HEAD that moves with an edit (edit, commit, and the sync comes later) holds nothing."""
    Repository(here.root).commit("parser | not-started", "parser | done", "| A1, A2 | 0 |", "| A1, A2 | 4 |")
    assert here.sync().held == ()
    assert (here.column("status", "A2"), here.column("priority", "A3")) == ("done", 4)


def _worked(here: Site) -> Repository:
    """Commit two rounds of work that are in the store as well."""
    repository = Repository(here.root)
    repository.commit("Write the parser", "Write a parser", "Write the docs", "Write docs")
    here.sync()
    repository.commit("parser | not-started", "parser | done", "| A1, A2 | 0 |", "| A1, A2 | 4 |")
    here.sync()
    return repository


def test_case_35_an_old_file_reverts_nothing(here: Site) -> None:
    """git checkout of an old TASKS.md: states flow back into the file, titles are held with the way out."""
    repository = _worked(here)
    repository.git("checkout", "HEAD~2", "--", "TASKS.md")
    report = here.sync()
    assert {(hold.id, hold.guard) for hold in report.held} == {("A2", "time-travel"), ("A3", "time-travel")}
    assert {hold.release for hold in report.held} == {"syncd accept A2", "syncd accept A3"}
    assert here.sql("select id, title, status::text, priority from backlog order by id") == [
        ("A1", "Draw the schema", "done", 3),
        ("A2", "Write a parser", "done", 2),
        ("A3", "Write docs", "ready", 4),
    ]
    assert "| A2 | Write the parser | done | A1 |" in here.text
    here.restart()
    assert {hold.id for hold in here.sync().held} == {"A2", "A3"}


def test_case_35_an_old_branch_brings_its_new_cards(here: Site) -> None:
    """git checkout of an old branch whose file is known: what was held is undone by going back."""
    repository = _worked(here)
    repository.git("branch", "old", "HEAD~2")
    repository.git("checkout", "--quiet", "old")
    assert {hold.id for hold in here.sync().held} == {"A2", "A3"}
    repository.git("checkout", "--quiet", "--force", "main")
    report = here.sync()
    assert (report.held, report.conflicts) == ((), ())
    assert here.column("title", "A2") == "Write a parser"
    assert "| A2 | Write a parser | done | A1 | 2 | |" in here.text


def test_case_35_rows_added_to_an_old_version_are_taken(here: Site) -> None:
    """An old version with a row that was never seen is an edit, but for what it would take back."""
    repository = _worked(here)
    repository.git("checkout", "HEAD~2", "--", "TASKS.md")
    here.sync()
    here.edit("\nSome words after it.", "| A4 | Ship | not-started | | | |\n\nSome words after it.")
    report = here.sync()
    assert here.card("A4").title == "Ship"
    assert {hold.id for hold in report.held} == {"A2", "A3"}
    assert here.column("title", "A2") == "Write a parser"
