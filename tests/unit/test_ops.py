"""The ops database: opening it from many processes, secrets at rest, what runs leave behind, audit, breaker, files."""

from __future__ import annotations

import base64
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData
from sqlalchemy.exc import StatementError

from ingestion.core.failpoints import failpoint
from ingestion.core.http import Call
from ingestion.core.ops import db
from ingestion.core.ops.calls import BATCH_CALLS, OPEN_AFTER, PAUSE
from ingestion.core.ops.crypto import Keyring, KeyringError
from ingestion.core.ops.db import open_ops, reading, writing
from ingestion.core.ops.models import Base, OutboxDocument
from ingestion.core.ops.store import Ops, file_known, file_record
from ingestion.core.records import Reject
from ingestion.core.settings import PROJECT_ROOT
from tests.forks import forked

NIGHT = datetime(2026, 4, 5, 22, 0, tzinfo=UTC)
SAMPLES = {  # a value for a column of each kind
    str: "1",
    int: 1,
    bool: True,
    bytes: b"1",
    Decimal: Decimal("1.5"),
    date: NIGHT.date(),
    datetime: NIGHT,
}


class Clock:
    def __init__(self) -> None:
        self.now = NIGHT

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ops(tmp_path: Path, ops_url: str, clock: Clock) -> Ops:
    return Ops.open(ops_url, Keyring.load(tmp_path / "c4.key"), clock)


# opening


def test_the_migrations_make_the_models(ops: Ops) -> None:
    """Catches: a column added to a model without a revision."""
    with reading(ops.sessions) as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_an_upgrade_from_the_first_revision_keeps_the_data(new_ops_url: str) -> None:
    """Catches: a migration that fails on, loses or changes what an older version has written."""
    engine = db.connect(new_ops_url)
    with engine.connect() as connection:
        config = db.alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.commit()
    before = MetaData()
    before.reflect(engine)
    tables = [table for table in before.sorted_tables if table.name != "alembic_version"]
    assert {"credentials", "outbox_documents", "sync_runs"} <= {table.name for table in tables}
    with engine.begin() as connection:
        for table in tables:
            connection.execute(
                table.insert(), {column.name: SAMPLES[column.type.python_type] for column in table.columns}
            )
        written = {table.name: connection.execute(table.select()).mappings().one() for table in tables}
    open_ops(new_ops_url)
    after = MetaData()
    after.reflect(engine)
    with engine.connect() as connection:
        for name, row in written.items():
            now = connection.execute(after.tables[name].select()).mappings().one()
            assert {key: now[key] for key in row if key in now} == dict(row), name


def test_a_line_goes_on_where_it_was(ops: Ops) -> None:
    """Catches: a position that is another line's or another account's, one that does not move."""
    assert ops.line_position("aloha", "socket:S1") == 0
    for position in (7, 2**40):
        ops.set_line_position("aloha", "socket:S1", position)
        ops.set_line_position("other", "socket:S1", 1)
    assert [ops.line_position("aloha", line) for line in ("socket:S1", "socket:S2")] == [2**40, 0]


def test_many_processes_open_a_new_database_at_once(tmp_path: Path, new_ops_url: str) -> None:
    """Catches: two migrations at the same time, a process that finds half a schema."""
    code = (
        "import sys; from pathlib import Path; from datetime import datetime, UTC;"
        "from ingestion.core.ops.store import Ops; from ingestion.core.ops.crypto import Keyring;"
        f"ops = Ops.open({new_ops_url!r}, Keyring.load(Path({str(tmp_path / 'c4.key')!r})));"
        "ops.set_credentials(sys.argv[1], {'token': sys.argv[1]}, 'test');"
        "print(ops.start_run(sys.argv[1], datetime.now(UTC)))"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code, name], cwd=PROJECT_ROOT, stdout=subprocess.PIPE)
        for name in ("a", "b", "c")
    ]
    runs = {int(child.communicate()[0]) for child in children}
    assert runs == {1, 2, 3}
    ops = Ops.open(new_ops_url, Keyring.load(tmp_path / "c4.key"))
    assert [ops.credentials(name) for name in "abc"] == [{"token": name} for name in "abc"]


def test_threads_open_databases_at_once(tmp_path: Path) -> None:
    """Catches: two migrations in one process that get into each other's connection."""
    keys = Keyring.load(tmp_path / "c4.key")
    urls = [f"sqlite:///{tmp_path / name}.db" for name in ("a", "b", "c", "a", "b", "c")]
    with ThreadPoolExecutor(6) as pool:
        opened = list(pool.map(lambda url: Ops.open(url, keys), urls))
    assert sorted(ops.start_run("x", NIGHT) for ops in opened) == [1, 1, 1, 2, 2, 2]


def test_a_forked_child_has_connections_of_its_own(ops: Ops) -> None:
    """Catches: parent and child writing over one connection, which corrupts SQLite and confuses Postgres."""
    ops.start_run("parent", NIGHT)
    assert forked(lambda: ops.start_run("child", NIGHT)) == 0
    assert ops.start_run("parent", NIGHT) == 3


def test_what_is_not_a_supported_database_is_refused() -> None:
    """Catches: an in-memory database that forgets the outbox at the end of the process."""
    with pytest.raises(ValueError, match="C4_OPS must be"):
        open_ops("sqlite://")
    assert db.connect("postgresql://c4@db/c4").driver == "psycopg2"


def test_amounts_and_instants_come_back_exactly(ops: Ops) -> None:
    """Catches: SQLite's floats in amounts, instants without a zone."""
    amount = Decimal("123456789012345.123456")
    with writing(ops.sessions) as session:
        session.add(_document("C4A", amount))
    with reading(ops.sessions) as session:
        row = session.get_one(OutboxDocument, "C4A")
        assert (row.total_debit, row.created_at) == (amount, NIGHT)
    with reading(ops.sessions) as session:
        session.add(_document("C4-secret", amount, datetime(2026, 4, 5)))  # noqa: DTZ001
        with pytest.raises(StatementError, match="need a time zone") as told:
            session.flush()
    assert "C4-secret" not in str(told.value)


def test_a_failed_transaction_leaves_nothing(ops: Ops) -> None:
    """Catches: half of a run written down."""
    run = ops.start_run("moka-nki", NIGHT)

    def killed() -> None:
        with ops.recording(run) as ledger:
            ledger.watermark("moka-nki", "transactions", "", NIGHT, True)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        killed()
    assert ops.snapshot()["watermarks"][1] == []


# keys and credentials


def test_the_key_file_is_private_and_stays(tmp_path: Path) -> None:
    """Catches: a key that others can read, a key that is made anew and locks us out of what was sealed."""
    path = tmp_path / "c4.key"
    sealed = Keyring.load(path).cipher("landing").encrypt(b"page", b"batch#1")
    assert path.stat().st_mode & 0o777 == 0o600
    assert Keyring.load(path).cipher("landing").decrypt(sealed, b"batch#1") == b"page"
    path.chmod(0o644)
    with pytest.raises(KeyringError, match="chmod 600"):
        Keyring.load(path)
    path.chmod(0o600)
    path.write_text("")
    with pytest.raises(KeyringError, match="empty"):
        Keyring.load(path)


def test_keys_from_the_environment_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a key file used although an operator gave a key; a malformed key taken, or printed."""
    old, new = (base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2))
    monkeypatch.setenv("C4_KEY", old)
    first = Keyring.load(tmp_path / "c4.key")
    sealed = first.cipher("landing").encrypt(b"page", b"1")
    monkeypatch.setenv("C4_KEY", f"{new},{old}")
    second = Keyring.load(tmp_path / "c4.key")
    assert second.cipher("landing").decrypt(sealed, b"1") == b"page"
    assert second.current != first.current
    assert second.derive("personal-data") == first.derive("personal-data")
    assert not (tmp_path / "c4.key").exists()
    monkeypatch.setenv("C4_KEY", "short")
    with pytest.raises(KeyringError) as told:
        Keyring.load(tmp_path / "c4.key")
    assert "short" not in str(told.value)


def test_sealed_bytes_cannot_be_altered_or_moved(tmp_path: Path) -> None:
    """Catches: decryption without authentication, credentials of one integration used for another."""
    cipher = Keyring.load(tmp_path / "a.key").cipher("credentials")
    sealed = cipher.encrypt(b"secret", b"moka-nki")
    with pytest.raises(KeyringError):
        cipher.decrypt(sealed, b"moka-nbt")
    with pytest.raises(KeyringError):
        cipher.decrypt(sealed[:-1] + bytes([sealed[-1] ^ 1]), b"moka-nki")
    with pytest.raises(KeyringError):
        cipher.decrypt(sealed[:8], b"moka-nki")
    with pytest.raises(KeyringError):
        Keyring.load(tmp_path / "a.key").cipher("landing").decrypt(sealed, b"moka-nki")
    with pytest.raises(KeyringError, match="not in the ring"):
        Keyring.load(tmp_path / "b.key").cipher("credentials").decrypt(sealed, b"moka-nki")


def test_credentials_are_sealed_audited_and_never_readable_at_rest(ops: Ops, tmp_path: Path) -> None:
    """Catches: secrets in the database file, in the audit log or in a repr."""
    ops.set_credentials("moka-nki", {"client_secret": "top-secret-value"}, "Sari")
    assert ops.credentials("moka-nki") == {"client_secret": "top-secret-value"}
    assert ops.credentials("nobody") == {}
    for path in tmp_path.iterdir():
        assert b"top-secret-value" not in path.read_bytes()
    (entry,) = ops.audit_log()
    assert (entry["who"], entry["action"], entry["subject"]) == ("Sari", "set credentials", "moka-nki")
    text = repr(ops) + repr(ops.keys) + repr(ops.keys.cipher("credentials"))
    key = ops.keys.keys[0]
    assert not any(form in text for form in ("top-secret-value", key.hex(), repr(key)))


def test_rotation_seals_anew_and_ages_are_told(ops: Ops, clock: Clock, tmp_path: Path) -> None:
    """Catches: credentials lost in a rotation, an old key that still opens them, an age that rotation hides."""
    ops.set_credentials("moka-nki", {"token": "t"}, "Sari")
    old = ops.keys
    clock.now += timedelta(days=91)
    rotated = ops.rotate_key("Sari")
    assert rotated.keys.current != old.current
    assert rotated.credentials("moka-nki") == {"token": "t"}
    with pytest.raises(KeyringError):
        replace(ops, keys=old).credentials("moka-nki")
    assert Keyring.load(tmp_path / "c4.key").current == rotated.keys.current
    assert ops.credential_ages() == {"moka-nki": timedelta(days=91)}


# runs


def test_a_reject_is_one_however_often_it_is_seen(ops: Ops, clock: Clock) -> None:
    """Catches: a reject that piles up every night, one that is resolved by the delivery that rejected it, one that
    stays open after its record loaded.
    """
    reject = Reject("991", "total", "expected a number", scope="7", payload=b'{"id": 991}')
    for night in range(2):
        clock.now = NIGHT + timedelta(days=night)
        with ops.recording(ops.start_run("moka-nki", clock.now)) as ledger:
            ledger.reject("moka-nki", "transactions", reject, f"batch{night}#1")
            ledger.resolve("moka-nki", "transactions", {"991"})
    (row,) = ops.rejects(status="open")
    assert (row["attempts"], row["first_seen"], row["landing"]) == (2, NIGHT, "batch1#1")
    assert ops.open_reject_keys("moka-nki") == {"transactions": {"991"}}
    with ops.recording(ops.start_run("moka-nki", clock.now)) as ledger:
        ledger.resolve("moka-nki", "transactions", {"991"})
    assert ops.rejects(status="open") == []
    assert ops.open_reject_keys("moka-nki") == {}
    with ops.recording(ops.start_run("moka-nki", clock.now)) as ledger:
        ledger.reject("moka-nki", "transactions", reject, "batch3#1")
    assert ops.rejects(status="open")[0]["attempts"] == 3


def test_records_without_a_key_are_told_apart(ops: Ops) -> None:
    """Catches: ten broken rows that are listed as one because none of them has a key."""
    with ops.recording(ops.start_run("files", NIGHT)) as ledger:
        for row in range(10):
            ledger.reject("files", "checks", Reject("?", "id", "missing", row=row, payload=b"{}"), "batch#1")
    assert len(ops.rejects()) == 10


def test_an_unreadable_page_is_settled_when_its_scope_is_read(ops: Ops) -> None:
    """Catches: a page reject that holds a day for ever, or one that another outlet's read settles."""
    with ops.recording(ops.start_run("moka-nki", NIGHT)) as ledger:
        for scope in ("7", "8"):
            page = Reject("", "page", "not JSON", kind="page", scope=scope, payload=scope.encode())
            ledger.reject("moka-nki", "transactions", page, "b#1")
    with ops.recording(ops.start_run("moka-nki", NIGHT)) as ledger:
        ledger.watermark("moka-nki", "transactions", "7", NIGHT, True)
    assert [row["scope"] for row in ops.rejects(status="open")] == ["8"]
    (left,) = ops.rejects(status="open")
    assert ops.resolve_reject(str(left["reject_id"]), "Sari", "page was empty")
    assert not ops.resolve_reject(str(left["reject_id"]), "Sari", "again")


def test_fields_of_the_first_read_are_no_drift(ops: Ops) -> None:
    """Catches: an alert for every undeclared field on the first night, or none for a new one later."""

    def night(rows: int, *fields: str) -> set[str]:
        with ops.recording(ops.start_run("moka-nki", NIGHT)) as ledger:
            ledger.stream("moka-nki", "items", status="ok", rows=rows, rejects=0, error="")
            return ledger.drift("moka-nki", "items", fields)

    assert night(0) == set()
    assert night(5, "colour") == set()
    assert night(5, "colour", "size") == {"size"}
    assert night(5, "size") == set()
    assert [row["field"] for row in ops.snapshot()["schema_drift"][1]] == ["size"]


def test_a_watermark_never_moves_back(ops: Ops) -> None:
    """Catches: a replayed night that makes complete days incomplete."""
    for until in (NIGHT, NIGHT - timedelta(days=3)):
        with ops.recording(ops.start_run("moka-nki", until)) as ledger:
            ledger.watermark("moka-nki", "transactions", "7", until, True)
    (row,) = ops.snapshot()["watermarks"][1]
    assert (row["complete_until"], row["source_outlet_id"]) == (NIGHT, "7")


def test_the_snapshot_fits_its_schema(ops: Ops) -> None:
    """Catches: rows that Arrow cannot take into the columns that dbt expects."""
    with ops.recording(run := ops.start_run("moka-nki", NIGHT)) as ledger:
        ledger.stream("moka-nki", "items", status="ok", rows=5, rejects=1, error="")
        ledger.landed("moka-nki", "items", "moka/1.pages", 1, 100)
        ledger.reject("moka-nki", "items", Reject("1", "f", "r", business_date=NIGHT.date()), "b#1")
        ledger.watermark("moka-nki", "items", "", NIGHT, False)
        ledger.finish("ok", NIGHT + timedelta(minutes=1))
    with writing(ops.sessions) as session:
        session.add(_document("C4A", Decimal("110")))
    tables = ops.snapshot()
    for schema, rows in tables.values():
        assert pa.Table.from_pylist(rows, schema).num_rows == len(rows)
    (row,) = tables["sync_runs"][1]
    assert (row["run_id"], row["status"], row["rows"], row["finished_at"]) == (
        run,
        "ok",
        5,
        NIGHT + timedelta(minutes=1),
    )


# calls, breaker, files


def _call(status: int = 200, path: str = "/v1/items") -> Call:
    return Call("moka-nki", "GET", path, status, 0.25, 1000, 1)


def test_calls_are_audited_in_batches_without_their_query(ops: Ops, clock: Clock) -> None:
    """Catches: an audit that writes once per call, that loses calls, or that keeps a token from a query."""
    for _ in range(BATCH_CALLS - 1):
        ops.audit_call(_call())
    assert _count(ops, "api_calls") == 0
    ops.audit_call(_call(path="/v1/items?access_token=abc"))
    assert _count(ops, "api_calls") == BATCH_CALLS
    with reading(ops.sessions) as session:
        paths = {row[0] for row in session.connection().exec_driver_sql("select path from api_calls")}
    assert paths == {"/v1/items"}
    ops.audit_call(_call(500))
    clock.now += timedelta(seconds=6)
    ops.audit_call(_call(0))
    assert _count(ops, "api_calls") == BATCH_CALLS + 2
    assert ops.calls.error_rates(NIGHT) == {"moka-nki": (BATCH_CALLS + 2, 2)}
    assert ops.calls.prune(clock.now) == BATCH_CALLS + 1
    assert _count(ops, "api_calls") == 1


def test_a_process_ends_where_the_audit_cannot_be_written(tmp_path: Path) -> None:
    """Catches: a traceback with every call of the audit at the end of a night whose database is away."""
    program = """
        import sys
        from pathlib import Path
        from ingestion.core.http import Call
        from ingestion.core.ops.store import Ops
        from ingestion.core.ops.crypto import Keyring
        from sqlalchemy import text
        ops = Ops.open(f"sqlite:///{sys.argv[1]}/ops.db", Keyring.load(Path(sys.argv[1], "c4.key")))
        ops.audit_call(Call("moka-nki", "GET", "/v1/items", 200, 0.1, 10, 1))
        with ops.sessions.begin() as session:
            session.execute(text("drop table api_calls"))
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    ended = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert "1 calls are missing in the audit (OperationalError)" in ended.stderr
    assert "/v1/items" not in ended.stderr


def test_the_breaker_opens_pauses_and_is_remembered(ops: Ops, clock: Clock) -> None:
    """Catches: a breaker that opens on a single failure, never tries again, or is forgotten by the next process."""
    breaker = ops.breaker("moka-nki")
    for _ in range(OPEN_AFTER - 1):
        breaker.failure()
    breaker.success()
    for _ in range(OPEN_AFTER - 1):
        breaker.failure()
    assert breaker.allow()
    breaker.failure()
    assert not breaker.allow()
    assert not ops.breaker("moka-nki").allow()
    assert ops.breaker("xero-nbt").allow()
    clock.now += PAUSE
    assert breaker.allow()
    breaker.failure()  # the trial fails: the pause doubles
    clock.now += PAUSE
    assert not ops.breaker("moka-nki").allow()
    clock.now += PAUSE
    again = ops.breaker("moka-nki")
    assert again.allow()
    again.success()
    assert ops.breaker("moka-nki").allow()
    for _ in range(OPEN_AFTER):
        again.failure()
    ops.reset_breakers()
    assert ops.breaker("moka-nki").allow()


def test_a_file_is_known_by_its_content(ops: Ops) -> None:
    """Catches: a file counted twice under another name, a correction that is not a new version."""

    def record(sha: str, path: str, status: str = "loaded") -> int:
        with writing(ops.sessions) as session:
            return file_record(
                session, "files-sydney", sha, path=path, size=10, status=status, rows=5, rejects=0, seen_at=NIGHT
            )

    assert record("a" * 64, "sales.csv") == 1
    assert record("b" * 64, "sales.csv") == 2
    assert record("a" * 64, "copy.csv", "superseded") == 1
    with reading(ops.sessions) as session:
        known = file_known(session, "files-sydney", "a" * 64)
        assert known is not None
        assert (known.path, known.version, known.status) == ("sales.csv", 1, "superseded")
        assert file_known(session, "files-other", "a" * 64) is None


# failpoints


@pytest.mark.parametrize(("wanted", "passes"), [("here", 1), ("here:3", 3)])
def test_a_failpoint_kills_at_its_nth_pass(monkeypatch: pytest.MonkeyPatch, wanted: str, passes: int) -> None:
    """Catches: kill tests that kill nothing."""
    read, write = os.pipe()

    def passing() -> None:
        monkeypatch.setenv("C4_FAILPOINT", wanted)
        for _ in range(5):
            failpoint("elsewhere")
            os.write(write, b".")
            failpoint("here")

    assert forked(passing) == -signal.SIGKILL
    os.close(write)
    assert len(os.read(read, 10)) == passes
    os.close(read)


def _count(ops: Ops, table: str) -> int:
    with reading(ops.sessions) as session:
        return session.connection().exec_driver_sql(f"select count(*) from {table}").scalar_one()


def _document(reference: str, amount: Decimal, at: datetime = NIGHT) -> OutboxDocument:
    texts = (
        "document_key entity_id outlet_id journal_type kind currency narration cost_center tracking_option target "
        "content_hash reverses_external_id status reason approved_by external_id"
    )
    return OutboxDocument(
        reference=reference,
        business_date=NIGHT.date(),
        posting_date=NIGHT.date(),
        version=1,
        sequence=1,
        total_debit=amount,
        line_count=2,
        needs_approval=False,
        attempts=0,
        created_at=at,
        **dict.fromkeys(texts.split(), ""),
    )


def test_the_database_is_in_wal_mode_and_syncs_fully(tmp_path: Path) -> None:
    """Catches: readers that block the writer; a committed `sending` that a power cut takes back."""
    ops = Ops.open(f"sqlite:///{tmp_path / 'ops.db'}", Keyring.load(tmp_path / "c4.key"))
    with sqlite3.connect(tmp_path / "ops.db") as raw:
        assert raw.execute("pragma journal_mode").fetchone() == ("wal",)
    with reading(ops.sessions) as session:
        assert session.connection().exec_driver_sql("pragma synchronous").scalar_one() == 2
