"""The inbox of events on both kinds of ops database: durable, once each, settled, replayed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, text

from ingestion.core.ops.crypto import Keyring, KeyringError
from ingestion.core.ops.db import open_ops, reading, writing
from ingestion.core.ops.inbox import ALONE_FROM, GROUP, MAX_ATTEMPTS, Inbox, NewEvent, Settled
from ingestion.core.ops.store import Ops
from ingestion.core.settings import PROJECT_ROOT

NOON = datetime(2026, 4, 5, 5, tzinfo=UTC)


def order(number: int, **more: object) -> NewEvent:
    return NewEvent("toast", "toast-1", f"event-{number}", b'{"guest": "Siti", "order": %d}' % number, **more)  # type: ignore[arg-type]


@pytest.fixture
def ops(tmp_path: Path, ops_url: str) -> Ops:
    return Ops.open(ops_url, Keyring.load(tmp_path / "c4.key"), lambda: NOON)


@pytest.fixture
def inbox(ops: Ops) -> Iterator[Inbox]:
    made = ops.inbox
    yield made
    made.close()


def put_all(inbox: Inbox, *events: NewEvent) -> list[bool]:
    return [future.result(timeout=30) for future in [inbox.put(event) for event in events]]


def test_an_event_is_there_once_however_often_it_comes(inbox: Inbox) -> None:
    """Catches: a duplicate in the same transaction or a later one that is kept, or told to be new."""
    assert put_all(inbox, order(1), order(1), order(2)) == [True, False, True]
    assert put_all(inbox, order(2), order(3)) == [False, True]
    assert [found.event_id for found in inbox.batch("toast-1", 10)] == ["event-1", "event-2", "event-3"]


def test_the_same_id_of_another_account_is_another_event(inbox: Inbox) -> None:
    other = NewEvent("toast", "toast-2", "event-1", b"{}")
    assert put_all(inbox, order(1), other) == [True, True]
    assert inbox.count("received") == {"toast-1": 1, "toast-2": 1}


def test_many_puts_share_a_commit(ops: Ops, inbox: Inbox) -> None:
    """Catches: a transaction per event, which no disk does a thousand times a second."""
    commits = 0

    def count(_: object) -> None:
        nonlocal commits
        commits += 1

    engine = ops.sessions.kw["bind"]
    with writing(ops.sessions):  # the writer waits while they gather
        futures = [inbox.put(order(number)) for number in range(2 * GROUP)]
        event.listen(engine, "commit", count)
    try:
        assert all(future.result(timeout=30) for future in futures)
    finally:
        event.remove(engine, "commit", count)
    assert commits <= 5


def test_bodies_rest_encrypted_and_come_back_whole(ops: Ops, inbox: Inbox, tmp_path: Path) -> None:
    """Catches: a guest's name in the clear in the database, a body that another event's could stand for."""
    put_all(inbox, order(1), order(2))
    with reading(ops.sessions) as session:
        stored = [bytes(row[0]) for row in session.execute(text("select body from inbox_events order by seq"))]
    assert not any(b"Siti" in body for body in stored)
    assert [found.body for found in inbox.batch("toast-1", 10)] == [order(1).body, order(2).body]
    with writing(ops.sessions) as session:
        session.execute(text("update inbox_events set body = :body"), {"body": stored[0]})
    with pytest.raises(KeyringError):
        inbox.batch("toast-1", 10)


def test_a_value_that_the_database_refuses_fails_alone(ops_url: str, inbox: Inbox) -> None:
    """Catches: one sender's odd id that fails every event of its transaction."""
    odd = NewEvent("toast", "toast-1", "nul\x00", b"{}")
    futures = [inbox.put(found) for found in (order(1), odd, order(2))]
    assert futures[0].result(timeout=30)
    assert futures[2].result(timeout=30)
    if ops_url.startswith("postgres"):  # SQLite keeps it
        with pytest.raises(ValueError, match="NUL"):
            futures[1].result(timeout=30)
    assert {"event-1", "event-2"} <= {found.event_id for found in inbox.batch("toast-1", 10)}


def test_a_sender_is_told_when_nothing_can_be_written(tmp_path: Path) -> None:
    """Catches: an event acknowledged though the database refused it."""
    url = f"sqlite:///{tmp_path / 'ops.db'}"
    inbox = Inbox(open_ops(url), Keyring((b"k" * 32,)).cipher("inbox"), lambda: NOON)
    assert put_all(inbox, order(1)) == [True]
    with sqlite3.connect(tmp_path / "ops.db") as other:
        other.execute("alter table inbox_events rename to elsewhere")
    with pytest.raises(Exception, match="inbox_events"):
        put_all(inbox, order(2))
    inbox.close()
    with pytest.raises(RuntimeError, match="closed"):
        inbox.put(order(3))


KILLED = """
import os, sys
from pathlib import Path
from tests.unit.test_inbox import NOON, order
from ingestion.core.ops.crypto import Keyring
from ingestion.core.ops.store import Ops
inbox = Ops.open(sys.argv[1], Keyring.load(Path(sys.argv[2])), lambda: NOON).inbox
os.environ["C4_FAILPOINT"] = sys.argv[3]
inbox.put(order(1)).result()
"""


@pytest.mark.parametrize(("where", "kept"), [("inbox.before_commit", 0), ("inbox.committed", 1)])
def test_a_kill_leaves_the_event_whole_or_not_at_all(ops_url: str, tmp_path: Path, where: str, kept: int) -> None:
    """Catches: an answer before the commit: what dies after it must have the event, what dies before must not."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, ops_url, str(tmp_path / "c4.key"), where], cwd=PROJECT_ROOT, check=False
    )
    assert done.returncode == -signal.SIGKILL
    inbox = Ops.open(ops_url, Keyring.load(tmp_path / "c4.key"), lambda: NOON).inbox
    assert len(inbox.batch("toast-1", 10)) == kept
    assert put_all(inbox, order(1)) == [not kept]
    inbox.close()
    assert "C4_FAILPOINT" not in os.environ


def test_what_breaks_loads_is_tried_alone_and_then_given_up(inbox: Inbox) -> None:
    """Catches: one poisonous event that takes all others with it, or that is tried for ever."""
    put_all(inbox, order(1), order(2))
    poison, good = inbox.batch("toast-1", 10)
    for _ in range(ALONE_FROM):
        inbox.begin([poison.seq, good.seq])
    assert [found.seq for found in inbox.batch("toast-1", 10)] == [poison.seq]
    for _ in range(MAX_ATTEMPTS - ALONE_FROM):
        assert inbox.give_up("broke off") == 0
        inbox.begin([poison.seq])
    assert inbox.give_up("broke off") == 1
    assert [found.seq for found in inbox.batch("toast-1", 10)] == [good.seq]
    assert [(row["seq"], row["error"]) for row in inbox.events(state="dead")] == [(poison.seq, "broke off")]


def test_the_later_event_of_a_record_counts_whatever_came_first(inbox: Inbox) -> None:
    """Catches: a delayed event that undoes what a later one of the same record has told."""
    later = NOON + timedelta(seconds=1)
    put_all(
        inbox,
        order(1, object_key="a", sent_at=later),
        order(2, object_key="a", sent_at=NOON),
        order(3, object_key="b", sent_at=NOON),
        order(4),
    )
    first, second, third, fourth = inbox.batch("toast-1", 10)
    assert inbox.outdated([first, second, third, fourth]) == {second.seq}
    inbox.settle({first.seq: Settled("loaded")})
    assert inbox.outdated([second]) == {second.seq}
    inbox.settle({first.seq: Settled("rejected", "did not fit")})
    assert inbox.outdated([second]) == set()


def test_settled_events_come_back_by_replay_only(inbox: Inbox) -> None:
    """Catches: an event loaded twice without anybody's will, a replay that finds nothing."""
    put_all(inbox, *(order(number) for number in range(3)))
    seqs = [found.seq for found in inbox.batch("toast-1", 10)]
    inbox.settle({seqs[0]: Settled("loaded"), seqs[1]: Settled("rejected", "checks: required, but missing")})
    assert [found.seq for found in inbox.batch("toast-1", 10)] == seqs[2:]
    assert inbox.replay(state="rejected") == 1
    assert inbox.replay(seqs=[seqs[0], 999]) == 1
    assert [found.seq for found in inbox.batch("toast-1", 10)] == seqs
    assert inbox.replay(seqs=[]) == 0
    with pytest.raises(ValueError, match="which events"):
        inbox.replay()


def test_the_figures_add_up_and_old_events_go(ops: Ops, inbox: Inbox) -> None:
    put_all(inbox, *(order(number) for number in range(3)))
    seqs = [found.seq for found in inbox.batch("toast-1", 10)]
    inbox.settle({seqs[0]: Settled("loaded"), seqs[1]: Settled("rejected")})
    (row,) = inbox.stats()
    assert {name: row[name] for name in ("received", "loaded", "ignored", "rejected", "dead", "recent")} == {
        "received": 1,
        "loaded": 1,
        "ignored": 0,
        "rejected": 1,
        "dead": 0,
        "recent": 3,
    }
    assert row["oldest_waiting"] == row["latest"] == NOON
    assert inbox.forget(timedelta(days=1)) == 0
    tomorrow = Ops(ops.sessions, ops.keys, ops.calls, lambda: NOON + timedelta(days=2)).inbox
    assert tomorrow.forget(timedelta(days=1)) == 1
    assert inbox.count("loaded") == {}


def test_a_token_is_good_for_its_scopes_until_it_ends(ops: Ops) -> None:
    """Catches: a token in the clear at rest, one that outlives its revocation, one that may do more than it says."""
    token = ops.tokens.create("grafana", ["stats"], "budi", days=1)
    forever = ops.tokens.create("till upload", ["upload", "manual"], "budi")
    assert ops.tokens.holder(token, "stats") == "grafana"
    assert ops.tokens.holder(token, "upload") is None
    assert ops.tokens.holder(forever, "manual") == "till upload"
    for wrong in ("", "c4", token[:-1], token.replace("c4_", "c5_"), forever[:11]):
        assert ops.tokens.holder(wrong, "stats") is None
    with reading(ops.sessions) as session:
        stored = str(session.execute(text("select * from api_tokens")).all())
    assert token.split("_", 2)[2] not in stored
    later = Ops(ops.sessions, ops.keys, ops.calls, lambda: NOON + timedelta(days=1)).tokens
    assert later.holder(token, "stats") is None
    token_id = forever.split("_")[1]
    assert ops.tokens.revoke(token_id, "budi")
    assert not ops.tokens.revoke(token_id, "budi")
    assert ops.tokens.holder(forever, "upload") is None
    assert {entry["action"] for entry in ops.audit_log()} == {"create token", "revoke token"}
    with pytest.raises(ValueError, match="no scope admin"):
        ops.tokens.create("x", ["admin"], "budi")
