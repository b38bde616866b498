"""The configuration: what is read, what is refused and how that is told, and edits that keep every other byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.errors import BadValue, ConfigError
from syncd.files.layout import Layout
from syncd.files.settings import get_setting, parse_config, parse_value, read_config
from syncd.files.settings_edit import edit_config
from syncd.files.workspace import create, mission_entries
from syncd.schemas.config import KEYS, Config, Mode, OnRemoved, StoreKind, StoreRecord, TaskEntry

FULL = """\
# ours
project: shop
store: {kind: postgres, address: "postgresql://db.example/shop"}
mode: postgres
database_url_env: SHOP_URL
tasks:
  - TASKS.md
  - {path: "docs/**/TASKS.md", namespace: ui}
mission: .mosaic/orchestrator/mission.json
prefix: SH-
headers:
  Aufgabe: title
  Risiko: extra.risk
statuses: {Erledigt: done}
ignore_headings: [Legende]
bytes_max: 1_000_000
priority_range: [0, 9]
policy: {title: remote, extra.*: ask}
on_removed: hold
file_write_interval_ms: 100
embedded_grace_s: 2.5
guards:
  deletions_max: 7
  deletions_share: 0.5
"""


def test_everything_is_read() -> None:
    """Each key of the table lands in its field of the configuration, with its type."""
    config = parse_config(FULL, "syncd.yaml")
    assert config.store == StoreRecord(StoreKind.POSTGRES, "postgresql://db.example/shop")
    assert (config.mode, config.on_removed) == (Mode.POSTGRES, OnRemoved.HOLD)
    assert config.tasks == (TaskEntry("TASKS.md"), TaskEntry("docs/**/TASKS.md", "ui"))
    assert config.headers == {"aufgabe": "title", "risiko": "extra.risk"}
    assert config.statuses == {"erledigt": "done"}
    assert config.policy == {"title": "remote", "extra.*": "ask"}
    assert (config.bytes_max, config.priority_range) == (1_000_000, (0, 9))
    assert (config.guards.deletions_max, config.guards.deletions_share, config.guards.grace_s) == (7, 0.5, 30.0)


@pytest.mark.parametrize("text", ["", "# nothing\n", "project:\nguards:\n", "\ufeffmode: auto\r\n"])
def test_what_is_left_out_has_its_default(text: str) -> None:
    """An empty file, and empty values, are the defaults."""
    assert parse_config(text, "syncd.yaml") == Config()


def test_an_absent_file_is_the_defaults(tmp_path: Path) -> None:
    """A workspace without syncd.yaml has the default settings."""
    assert read_config(tmp_path / "syncd.yaml") == Config()


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("a: 1\n", 1, "no setting `a`"),
        ("\ntaskz: [x]\n", 2, "(`tasks`?)"),
        ("guards:\n  grace: 3\n", 2, "no setting `guards.grace`"),
        ("project: a\nproject: b\n", 2, "stands twice"),
        ("- a\n", 1, "no mapping"),
        ("mode: fast\n", 1, "auto, postgres, embedded, flatfile"),
        ("bytes_max: 0\n", 1, "too small"),
        ("bytes_max: lots\n", 1, "no whole number"),
        ("bytes_max: true\n", 1, "no whole number"),
        ("guards:\n  deletions_share: 2\n", 2, "out of range"),
        ("guards:\n  grace_s: .nan\n", 2, "out of range"),
        ("tasks:\n  - a.md\n  - ../b.md\n", 3, "leads out"),
        ("tasks: /etc/passwd\n", 1, "absolute"),
        ("tasks: []\n", 1, "empty"),
        ("tasks:\n  - {path: a.md, nam: x}\n", 2, "no `nam`"),
        ("tasks: [{namespace: x}]\n", 1, "no `path`"),
        ("headers: {x: colour}\n", 1, "no field"),
        ("statuses: {x: finished}\n", 1, "ready, claimed, blocked, done"),
        ("policy: {title: me}\n", 1, "local, remote, ask"),
        ("priority_range: [5, 1]\n", 1, "no range"),
        ("store: {kind: postgres}\n", 1, "both needed"),
        ("project: [a]\n", 1, "no text"),
        ("a: [1\nb: 2\n", 2, "no YAML"),
    ],
)
def test_a_wrong_value_is_told_with_its_line(text: str, line: int, told: str) -> None:
    """A mistake names the file, the line and what is allowed, with exit code 78."""
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "syncd.yaml")
    assert caught.value.message.startswith(f"syncd.yaml:{line}: ")
    assert told in caught.value.message
    assert caught.value.exit_code == 78


def test_a_password_is_refused_and_not_repeated() -> None:
    """A password in the store's address is an error whose message does not hold it."""
    with pytest.raises(ConfigError) as caught:
        parse_config("store: {kind: postgres, address: 'postgresql://me:hunter2@db/x'}\n", "syncd.yaml")
    assert "hunter2" not in caught.value.message


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """A file that is not UTF-8 is a mistake with its line."""
    path = tmp_path / "syncd.yaml"
    path.write_bytes(b"# ok\nproject: \xff\n")
    with pytest.raises(ConfigError, match=r"syncd\.yaml:2: "):
        read_config(path)


EDITS: list[tuple[str, str, Any, str]] = [
    ("", "project", "shop", "project: shop\n"),
    ("# a\nmode:   auto   # why\n", "mode", "embedded", "# a\nmode:   embedded   # why\n"),
    ("project: 'a'\r\nmode: auto\r\n", "project", "it's", "project: 'it''s'\r\nmode: auto\r\n"),
    ('project: "a" # x', "project", "b", 'project: "b" # x'),
    ("mode: auto", "project", "shop", "mode: auto\nproject: shop\n"),
    ("mode: auto\r\n", "prefix", "S", "mode: auto\r\nprefix: S\r\n"),
    ("\ufeffmode: auto\n", "mode", "postgres", "\ufeffmode: postgres\n"),
    ("guards:\n    grace_s: 3 # c\n# end\n", "guards.grace_s", 4, "guards:\n    grace_s: 4 # c\n# end\n"),
    (
        "guards:\n    grace_s: 3 # c\n# end\nmode: auto\n",
        "guards.deletions_max",
        9,
        "guards:\n    grace_s: 3 # c\n    deletions_max: 9\n# end\nmode: auto\n",
    ),
    ("guards: {grace_s: 3}\n", "guards.deletions_max", 9, "guards: {grace_s: 3, deletions_max: 9}\n"),
    ("guards: # c\nmode: auto\n", "guards.deletions_max", 9, 'guards: {"deletions_max": 9} # c\nmode: auto\n'),
    ("project: # c\nmode: auto\n", "project", "shop", "project: shop # c\nmode: auto\n"),
    ("mode: auto\n", "guards.deletions_max", 9, "mode: auto\nguards:\n  deletions_max: 9\n"),
    (
        "tasks:\n  - a.md # one\n  - b.md\n# end\nmode: auto\n",
        "tasks",
        ["c.md"],
        'tasks:\n  ["c.md"]\n# end\nmode: auto\n',
    ),
    (
        "project: shop\n",
        "store",
        {"kind": "embedded", "address": "/data"},
        'project: shop\nstore: {"kind": "embedded", "address": "/data"}\n',
    ),
    ("project: a\n", "project", "2024", 'project: "2024"\n'),
    ("project: a\n", "project", None, "project: null\n"),
]


@pytest.mark.parametrize(("before", "name", "value", "after"), EDITS)
def test_an_edit_changes_its_value_alone(tmp_path: Path, before: str, name: str, value: Any, after: str) -> None:
    """Setting a key keeps comments, quotes, padding, line ends and a BOM."""
    path = tmp_path / "syncd.yaml"
    path.write_bytes(before.encode())
    config = edit_config(path, name, value)
    assert path.read_bytes() == after.encode()
    assert config == read_config(path)


@given(
    project=st.text(min_size=1, max_size=20).filter(lambda text: text.strip() == text and text.isprintable()),
    quote=st.sampled_from(["", "'", '"']),
)
def test_any_text_survives_an_edit(tmp_path_factory: pytest.TempPathFactory, project: str, quote: str) -> None:
    """Whatever text is set is what is read back, and the comments around it stay."""
    path = tmp_path_factory.mktemp("edit") / "syncd.yaml"
    path.write_text(f"# one\nproject: {quote}x{quote} # two\n# three\n")
    assert edit_config(path, "project", project).project == project
    lines = path.read_text().split("\n")
    assert (lines[0], lines[2]) == ("# one", "# three")
    assert lines[1].endswith(" # two")


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("mode", "fast", BadValue),
        ("bytes_max", -1, BadValue),
        ("tasks", ["../x"], BadValue),
        ("colour", "red", BadValue),
    ],
)
def test_a_refused_edit_leaves_the_file(tmp_path: Path, name: str, value: Any, error: type[Exception]) -> None:
    """A value that the key cannot hold, or an unknown key, changes nothing."""
    path = tmp_path / "syncd.yaml"
    path.write_text("mode: auto\n")
    with pytest.raises(error):
        edit_config(path, name, value)
    assert path.read_text() == "mode: auto\n"


def test_an_edit_that_would_change_more_is_left_to_a_person(tmp_path: Path) -> None:
    """A value that another key repeats by its anchor is not changed."""
    path = tmp_path / "syncd.yaml"
    text = "project: &p shop\nprefix: *p\n"
    path.write_text(text)
    with pytest.raises(ConfigError, match="by hand"):
        edit_config(path, "project", "other")
    assert path.read_text() == text


def test_the_table_and_the_defaults_agree() -> None:
    """Every key of the table has a meaning, and its default is what an empty file gives."""
    config = Config()
    for name, key in KEYS.items():
        group, _, inner = name.rpartition(".")
        shape: Any = getattr(config, group) if group else config
        assert getattr(shape, inner) == key.default
        assert key.meaning.endswith(".")


@pytest.mark.parametrize("name", KEYS)
def test_every_key_can_be_set(tmp_path: Path, name: str) -> None:
    """Each key of the table takes a value of its kind."""
    values: dict[str, Any] = {
        "store": {"kind": "flatfile", "address": "."},
        "tasks": ["a.md", {"path": "b.md", "namespace": "b"}],
        "headers": {"was": "title"},
        "statuses": {"fertig": "done"},
        "policy": {"title": "ask"},
        "priority_range": [1, 3],
        "ignore_headings": ["Log"],
        "events": [{"run": "true", "on": ["task.*"]}, {"file": "events.ndjson", "concurrency": 2}],
        "assign": [{"worker": "w*", "labels": ["docs"]}],
        "mode": "flatfile",
        "on_removed": "restore",
        "guards.deletions_share": 0.1,
        "guards.changed_share": 0.1,
    }
    default = KEYS[name].default
    usual = True if isinstance(default, bool) else 41 if isinstance(default, int | float) else "word"
    value = values.get(name, usual)
    config = edit_config(tmp_path / "syncd.yaml", name, value)
    group, _, inner = name.rpartition(".")
    shape: Any = getattr(config, group) if group else config
    assert getattr(shape, inner) != default


def test_a_setting_is_told_as_it_would_be_written() -> None:
    """A setting is shown as plain data that, written back, means the same."""
    config = parse_config(FULL, "syncd.yaml")
    assert get_setting(config, "tasks") == [
        "TASKS.md",
        {"path": "docs/**/TASKS.md", "namespace": "ui"},
    ]
    assert get_setting(config, "store") == {"kind": "postgres", "address": "postgresql://db.example/shop"}
    assert get_setting(config, "guards.deletions_max") == 7
    assert (get_setting(config, "mode"), get_setting(Config(), "on_removed")) == ("postgres", None)
    with pytest.raises(BadValue):
        get_setting(config, "colour")


def test_a_value_is_read_as_in_the_file() -> None:
    """A value on the command line is YAML: numbers, lists and texts; what is none is refused."""
    assert [parse_value(text) for text in ("7", "[a, b]", "shop", "true", "~")] == [7, ["a", "b"], "shop", True, None]
    with pytest.raises(BadValue):
        parse_value("[a")


def test_a_workspace_is_made_once(tmp_path: Path) -> None:
    """Making a workspace makes a private .syncd that git ignores; making it again keeps what is there."""
    layout = Layout(tmp_path)
    create(layout, {"project": "shop"})
    assert layout.dot.stat().st_mode & 0o777 == 0o700
    assert (layout.dot / ".gitignore").read_text() == "*\n"
    layout.config.write_text("# mine\n" + layout.config.read_text())
    config = create(layout, {"project": "shop2"})
    assert layout.config.read_text() == "# mine\nproject: shop2\n"
    assert config.project == "shop2"


def test_mission_files_are_named_or_have_the_usual_names() -> None:
    """A path, a glob or a list of them counts; else the usual names."""
    assert mission_entries(Config()) == ("mission.json", ".mosaic/orchestrator/mission.json")
    assert mission_entries(Config(mission="x.json")) == ("x.json",)
    several = parse_config("mission: [a/mission.json, 'b/*.json']", "syncd.yaml")
    assert mission_entries(several) == ("a/mission.json", "b/*.json")
    assert get_setting(several, "mission") == ["a/mission.json", "b/*.json"]
    for wrong in ("mission: []", "mission: /etc/x.json", "mission: [../x.json]", "mission: {a: b}"):
        with pytest.raises(ConfigError):
            parse_config(wrong, "syncd.yaml")
