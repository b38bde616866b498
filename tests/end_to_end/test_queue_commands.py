"""The queue's commands as a user calls them."""

from __future__ import annotations

import io
import json
import threading
import time
from datetime import datetime
from typing import Any

import psycopg
import pytest
from jsonschema import Draft202012Validator

from syncd.cli.schemas import bundle
from tests.end_to_end.test_cli import DEADLINE_S, Shop, bare, shop, wait_for

__all__ = ["bare", "shop"]

MOSAIC = """
create type backlog_status as enum ('ready', 'claimed', 'blocked', 'done');
create table backlog (
    id text primary key, title text not null, body text, phase text, priority integer not null default 0,
    status backlog_status not null default 'ready', depends_on jsonb not null default '[]', claim_owner text,
    claim_ttl_seconds integer, claimed_at timestamptz, attempts integer not null default 0,
    idempotency_key text unique, acceptance jsonb, created_at timestamptz not null default now(),
    updated_at timestamptz not null default now());
create index on backlog (status, priority);
create index on backlog (status, claimed_at);
insert into backlog (id, title, status, depends_on) values
    ('M1', 'Design', 'done', '[]'), ('M2', 'Build', 'ready', '["M1"]'), ('M3', 'Ship', 'ready', '["M2"]')"""


def created(shop: Shop, lines: str, *words: str, code: int = 0) -> Any:
    """Run ``create --stdin`` in this process with these lines and return what it printed."""
    stdin = io.TextIOWrapper(io.BytesIO(lines.encode()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.end_to_end.test_cli.memory", _streams(stdin))
        return shop("backlog", "create", "--stdin", *words, code=code)


def _streams(stdin: io.TextIOWrapper) -> Any:
    """Return a maker of streams whose first is this one: the command's stdin."""
    made = iter([stdin])
    return lambda: next(made, None) or io.TextIOWrapper(io.BytesIO(), encoding="utf-8")


def test_fail_retry_and_why(shop: Shop) -> None:
    """A failed card pauses and says so, its error is shown, and retry makes it claimable at once."""
    claimed = shop.json("backlog", "claim", "--owner", "w", schema="card")
    assert claimed["id"] == "A1"
    assert shop.error("backlog", "fail", "--id", "A1", "--attempt", "9", "--error", "x", code=4)["code"] == "not-owner"
    card = shop.json("backlog", "fail", "--id", "A1", "--owner", "w", "--error", "no luck", schema="card")
    assert (card["status"], card["lastError"], card["attempts"]) == ("ready", "no luck", 1)
    assert card["runAfter"] > card["updatedAt"]
    found = shop.json("backlog", "why", "A1", schema="why")
    assert [(each["code"], each["until"]) for each in found["reasons"]] == [("delayed", card["runAfter"])]
    assert shop.json("backlog", "retry", "--id", "A1", schema="card")["runAfter"] is None
    assert shop.json("backlog", "why", "A1", schema="why") == {"claimable": True, "reasons": []}
    assert shop("backlog", "why", "A2").stdout == "A2 cannot be claimed:\n  it depends on A1, which is ready\n"
    assert shop.error("backlog", "why", "A9", code=3)["code"] == "not-found"


def test_pause_and_resume(shop: Shop) -> None:
    """While paused a claim ends with 4, also one that waits; resume ends that."""
    assert shop.json("backlog", "pause", schema="paused") == {"paused": True}
    assert shop.error("backlog", "claim", "--owner", "w", code=4)["code"] == "paused"
    assert shop.error("backlog", "claim", "--owner", "w", "--wait", "0.2", code=4)["code"] == "paused"
    assert shop.json("backlog", "stats", schema="stats")["paused"]
    assert shop.json("backlog", "resume", schema="paused") == {"paused": False}
    assert shop.json("backlog", "claim", "--owner", "w")["id"] == "A1"


def test_a_claim_that_waits_is_woken(shop: Shop) -> None:
    """claim --wait gets a card as soon as another program makes one claimable, and null when the wait is over."""
    shop("backlog", "claim", "--owner", "w", "--count", "9")
    assert shop.json("backlog", "claim", "--owner", "w", "--wait", "0.1") is None
    waiting = shop.process("backlog", "claim", "--owner", "late", "--wait", "60", "--json")
    dsn = shop.environ["SYNCD_DATABASE_URL"]
    with psycopg.connect(dsn, autocommit=True) as link:
        listens = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        wait_for(lambda: link.execute(listens).fetchone()[0] >= 2)  # type: ignore[index]
        link.execute("insert into backlog (id, title) values ('B1', 'from elsewhere')")
    out, _ = waiting.communicate(timeout=DEADLINE_S)
    assert json.loads(out)["id"] == "B1"


def test_a_claim_waits_no_longer_than_a_delay(shop: Shop) -> None:
    """A card that becomes claimable by time alone wakes a claim that waits."""
    shop("backlog", "claim", "--owner", "w", "--count", "9")
    shop("backlog", "create", "--id", "B1", "--title", "Soon", "--delay", "0.3")
    begun = time.monotonic()
    assert shop.json("backlog", "claim", "--owner", "w", "--wait", "60")["id"] == "B1"
    assert time.monotonic() - begun < DEADLINE_S


def test_many_cards_from_stdin(shop: Shop) -> None:
    """JSON lines become cards, with all their fields; the answer is a list of them."""
    lines = (
        '{"id": "B1", "title": "One", "dependsOn": ["B2"], "priority": 3, "acceptance": {"a": [1]}}\n'
        '\n{"id": "B2", "title": "Two", "extra": {"branch": "x"}, "maxRetries": 0, "delay": 60, "body": null}\n'
    )
    cards = json.loads(created(shop, lines, "--json").stdout)
    validator = Draft202012Validator(bundle("card"))
    for card in cards:
        validator.validate(card)
    assert [(card["id"], card["dependsOn"], card["unmet"]) for card in cards] == [("B1", ["B2"], 1), ("B2", [], 0)]
    assert (cards[1]["extra"], cards[1]["maxRetries"]) == ({"branch": "x"}, 0)
    assert created(shop, '{"id": "B3", "title": "Three"}').stdout == "Created 1 card.\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2 is not JSON"),
        ("[]", "line 2: not a JSON object"),
        ('{"id": "B2"}', "line 2: title is missing"),
        ('{"id": "B2", "title": "x", "dependsOn": "B1"}', "line 2: dependsOn is a list of ids"),
        ('{"id": "B2", "title": "x", "priority": true}', "line 2: priority is a whole number"),
        ('{"id": "B2", "title": "x", "owner": "w"}', "line 2: unknown name 'owner'"),
    ],
)
def test_a_wrong_line_makes_no_card(shop: Shop, line: str, said: str) -> None:
    """A line that is no card is named, and not even the lines before it are taken."""
    ended = created(shop, f'{{"id": "B1", "title": "One"}}\n{line}\n', code=2)
    assert said in ended.stderr
    assert shop.error("backlog", "show", "B1", code=3)["code"] == "not-found"


def test_what_stands_of_many_cards_is_told(shop: Shop) -> None:
    """Cards are made a thousand together: of a later refusal it is said how many stand, so that nobody has to look."""
    lines = "".join(f'{{"id": "C{number}", "title": "x"}}\n' for number in range(1000))
    ended = created(shop, f'{lines}{{"id": "A1", "title": "There already"}}\n', code=4)
    assert "there is a card A1 already; the 1000 cards before stand" in ended.stderr
    assert shop.json("backlog", "stats")["total"] >= 1000


def test_create_needs_an_id_and_a_title(shop: Shop) -> None:
    """Without --stdin both are needed, with it neither may be given."""
    assert "--title" in shop.error("backlog", "create", "--id", "B1", code=2)["message"]
    assert "--id" in shop.error("backlog", "create", "--title", "x", code=2)["message"]
    shop.error("backlog", "create", "--id", "B1", "--stdin", code=2)


def test_a_priority_outside_the_workspaces_range_is_refused(shop: Shop) -> None:
    """With priority_range set, create and update take only what lies in it."""
    shop("config", "set", "priority_range", "[1, 10]")
    error = shop.error("backlog", "create", "--id", "B1", "--title", "x", "--priority", "11", code=2)
    assert "between 1 and 10" in error["message"]
    shop.error("backlog", "update", "A1", "priority=0", code=2)
    assert shop.json("backlog", "update", "A1", "priority=10")["priority"] == 10
    before = shop.tasks.read_bytes()
    assert "between 1 and 10" in shop.error("edit", "A1", "priority=77", code=2)["message"]
    assert shop.tasks.read_bytes() == before


def test_pauses_after_failures_are_the_workspaces(shop: Shop) -> None:
    """retry.base_s, retry.max_s and retry.max_retries say when a card that failed is tried again."""
    for setting in ("retry.base_s 0.4", "retry.max_s 0.5", "retry.max_retries 2"):
        shop("config", "set", *setting.split())
    for least_s, most_s in ((0.4, 0.5), (0.5, 0.625)):
        card = shop.json("backlog", "claim", "--owner", "w", "--id", "A1", "--wait", "20")
        failed = shop.json("backlog", "fail", "--id", "A1", "--owner", "w", "--error", "no luck")
        assert failed["status"] == "ready", card
        pause = datetime.fromisoformat(failed["runAfter"]) - datetime.fromisoformat(failed["updatedAt"])
        assert least_s <= pause.total_seconds() <= most_s
    shop.json("backlog", "claim", "--owner", "w", "--id", "A1", "--wait", "20")
    assert shop.json("backlog", "fail", "--id", "A1", "--error", "no luck")["status"] == "blocked"


def test_the_graph_in_every_format(shop: Shop) -> None:
    """What waits for what: as JSON, as a tree, for Mermaid and for Graphviz, unknown dependencies included."""
    shop("backlog", "create", "--id", "B1", "--title", 'Say "hi" <b>', "--depends-on", "A2,X9")
    found = shop.json("backlog", "graph", schema="graph")
    assert {(each["from"], each["to"]) for each in found["dependencies"]} == {("A2", "A1"), ("B1", "A2"), ("B1", "X9")}
    assert {"id": "X9", "title": None, "status": None} in found["cards"]
    assert shop("backlog", "graph").stdout == (
        "A1  ready  Schema\n"
        "  A2  ready  Parser\n"
        '    B1  ready  Say "hi" <b>\n'
        "A3  done  Plan\n"
        "X9  unknown\n"
        "  B1  ready\n"
    )  # fmt: skip
    mermaid = shop("backlog", "graph", "--format", "mermaid").stdout
    assert mermaid.startswith("flowchart LR\n")
    assert "Say #34;hi#34; #60;b#62;" in mermaid
    dot = shop("backlog", "graph", "--format", "dot").stdout
    assert '"A1" -> "A2";' in dot
    assert 'label="B1\\nSay \\"hi\\" <b>"' in dot


def test_events_are_told_and_followed(shop: Shop) -> None:
    """events tells what happened so far, --since goes on from there, and --follow tells what comes."""
    shop("backlog", "claim", "--owner", "w")
    lines = [json.loads(each) for each in shop("backlog", "events", "--json").stdout.splitlines()]
    validator = Draft202012Validator(bundle("event"))
    for each in lines:
        validator.validate(each)
    assert [each["type"] for each in lines] == ["task.queued"] * 3 + ["task.processing"]
    assert (lines[-1]["from"], lines[-1]["to"], lines[-1]["data"]["claimOwner"]) == ("ready", "claimed", "w")
    assert shop("backlog", "events", "--since", str(lines[-1]["seq"])).stdout == ""
    assert "task.processing  A1  ready → claimed" in shop("backlog", "events").stdout
    following = shop.process("backlog", "events", "--follow", "--json", "--since", str(lines[-1]["seq"]))
    assert following.stdout is not None
    shop("backlog", "complete", "--id", "A1")
    assert json.loads(following.stdout.readline())["type"] == "task.completed"
    following.terminate()
    following.communicate(timeout=DEADLINE_S)


def test_followed_events_survive_a_cut_connection(shop: Shop) -> None:
    """When every connection is cut while transactions overlap, no event is left out and none comes twice."""
    from syncd import api

    shop("backlog", "claim", "--owner", "w")
    dsn = shop.environ["SYNCD_DATABASE_URL"]
    seen: list[tuple[str, int]] = []

    def read() -> None:
        with api.open(shop.root, environ=shop.environ) as opened:
            for event in opened.backlog.follow_events():
                seen.append((event.id, event.seq))
                if event.id == "last":
                    return

    reader = threading.Thread(target=read)
    reader.start()
    with psycopg.connect(dsn, autocommit=True) as link, psycopg.connect(dsn) as slow:
        wait_for(lambda: len(seen) == 4)
        slow.execute("insert into backlog (id, title) values ('slow', 's')")
        link.execute("insert into backlog (id, title) values ('fast', 'f')")
        link.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
            " and pid not in (pg_backend_pid(), %s)",
            [slow.info.backend_pid],
        )
        slow.commit()
        link.execute("insert into backlog (id, title) values ('last', 'l')")
        reader.join(DEADLINE_S)
    assert not reader.is_alive()
    assert sorted(id for id, _ in seen[4:]) == ["fast", "last", "slow"]
    assert len({seq for _, seq in seen}) == len(seen)


def test_prune_counts_before_it_deletes(shop: Shop) -> None:
    """--dry-run says what would go; without it that is gone, and the cards are as they were."""
    shop("backlog", "claim", "--owner", "w")
    before = shop.json("backlog", "list")
    found = shop.json("db", "prune", "--days", "0", "--dry-run", schema="pruned")
    assert (found["pruned"]["history"], found["done"]) == (4, False)
    assert "To prune: 4 history entries" in shop("db", "prune", "--days", "0", "--dry-run").stdout
    assert shop.json("db", "prune", schema="pruned")["pruned"] == {"history": 0, "commits": 0, "replicas": 0}
    assert shop.json("db", "prune", "--days", "0", schema="pruned")["pruned"]["history"] == 4
    assert shop("backlog", "events").stdout == ""
    assert shop.json("backlog", "list") == before
    shop("sync")
    assert shop.json("status")["inSync"]


def test_adopt_a_table_that_a_service_made(postgres_dsn: str, bare: Shop) -> None:
    """A Mosaic table is adopted in place; its client's statements work as before, beside syncd's commands."""
    with psycopg.connect(postgres_dsn, autocommit=True) as link:
        link.execute(MOSAIC)
        error = bare.error("init", "--yes", code=78)
        assert "db adopt" in error["hint"]
        (bare.root / "syncd.yaml").write_text("project: default\n")
        plan = bare.json("db", "adopt", "--dry-run", schema="adoption")
        assert (plan["cards"], plan["done"]) == (3, False)
        assert "syncd db adopt" in bare("db", "adopt", "--dry-run").stdout
        assert bare.json("db", "adopt", schema="adoption")["done"]
        assert bare.error("db", "adopt", code=4)["code"] == "refused"
        bare("init", "--yes")
        bare("sync")
        assert {card["id"] for card in bare.json("backlog", "list")} == {"A1", "A2", "A3", "M1", "M2", "M3"}
        # What the service's client does: enqueue or update, take the best open card, finish it, count.
        link.execute(
            "insert into backlog (id, title, priority, idempotency_key) values ('S1', 'Served', 9, 'k')"
            " on conflict (idempotency_key) do nothing"
        )
        link.execute(
            "insert into backlog (id, title) values ('M3', 'Ship it')"
            " on conflict (id) do update set title = excluded.title, updated_at = now()"
        )
        took = link.execute(
            "with best as (select id from backlog where status = 'ready' and not exists ("
            "  select from jsonb_array_elements_text(backlog.depends_on) d join backlog b on b.id = d"
            "  where b.status <> 'done') order by priority desc, created_at for update skip locked limit 1)"
            " update backlog set status = 'claimed', claim_owner = 'svc', claim_ttl_seconds = 60, claimed_at = now(),"
            " attempts = attempts + 1, updated_at = now() from best where backlog.id = best.id"
            " returning backlog.id, attempts"
        ).fetchall()
        assert took == [("S1", 1)]
        link.execute("update backlog set status = 'done', claim_owner = null where id = 'S1' and claim_owner = 'svc'")
        assert link.execute("select count(*) from backlog where status = 'done'").fetchall() == [(3,)]
    assert bare.json("backlog", "show", "S1")["status"] == "done"
    assert bare.json("backlog", "show", "M3")["title"] == "Ship it"
    assert [each["type"] for each in map(json.loads, bare("backlog", "events", "--json").stdout.splitlines())][-1] == (
        "task.completed"
    )
    bare("sync")
    assert "Served" in bare.tasks.read_text()


def test_adopt_is_refused_for_another_project(postgres_dsn: str, bare: Shop) -> None:
    """An adopted table's cards belong to the default project: a workspace of another one is told so."""
    with psycopg.connect(postgres_dsn, autocommit=True) as link:
        link.execute(MOSAIC)
    (bare.root / "syncd.yaml").write_text("project: shop\n")
    error = bare.error("db", "adopt", code=4)
    assert "config set project default" in error["hint"]
