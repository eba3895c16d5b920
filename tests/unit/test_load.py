"""Loading into a real DuckDB and a real Postgres: what two deliveries, a kill or a failing outlet may leave behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pyarrow.parquet as pq
import pytest

from ingestion.core import dlt_settings, load, warehouse
from ingestion.core.errors import RetriableError
from ingestion.core.fetch import Event, Page, ScopeDone, ScopeFailed
from ingestion.core.landing import LandingZone
from ingestion.core.load import Loader, StreamResult
from ingestion.core.ops.crypto import Keyring
from ingestion.core.records import Pii, Record, Reject, keyed_hasher
from ingestion.core.settings import PROJECT_ROOT, Settings
from ingestion.core.spec import Category, Connector, Cursor, Scope, Stream, Table
from tests import postgres

AS_OF = datetime(2026, 4, 5, 22, tzinfo=UTC)
HASHER = keyed_hasher(b"k" * 32)


class Line(Record):
    n: int
    name: str = "teh"


class Check(Record):
    id: str
    total: int = 0
    version: int | None = None
    guest: Annotated[str | None, Pii.HASH] = None
    lines: list[Line] = []


class Account(Record):
    code: str
    name: str = ""


LINES = Table("lines", Line, (), path="lines")
CHECKS = Stream(
    "checks",
    (Table("checks", Check, ("id",), version="version"), LINES),
    scope=Scope.OUTLET,
    cursor=Cursor(),
)
UNVERSIONED = Stream("unversioned", (Table("unversioned", Check, ("id",)), replace(LINES, name="unversioned_lines")))
ACCOUNTS = Stream("accounts", (Table("accounts", Account, ("code",)),), write="replace")
SHOP = Connector("shop", Category.POS, "Shop", (CHECKS, UNVERSIONED, ACCOUNTS))

Feed = Mapping[str, Iterable[Event]]  # by stream


def page(records: Any, scope: str = "o1") -> Page:
    return Page(records if isinstance(records, bytes) else msgspec.json.encode(records), scope, {})


def whole(*records: Any, scope: str = "o1") -> list[Event]:
    """One page and the end of its scope."""
    return [page(list(records), scope), ScopeDone(scope)]


@dataclass
class Store:
    """One company's data folder: loads what it is fed, tells what the tables hold."""

    root: Path
    runs: int = 0
    seen_cursors: list[dict[str, str]] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return Settings.load(self.root, AS_OF + timedelta(days=self.runs))

    def load(
        self,
        feed: Feed,
        *,
        account: str = "shop-1",
        until: bool = True,
        landing: LandingZone | None = None,
        **options: Any,
    ) -> dict[str, StreamResult]:
        self.runs += 1
        settings, run_id = self.settings, self.runs

        def events(stream: Stream, cursors: Mapping[str, str]) -> Iterator[Event]:
            self.seen_cursors.append(dict(cursors))
            yield from feed[stream.name]

        def batch(stream: Stream) -> Any:
            assert landing is not None
            return landing.batch("shop", account, stream.name, settings.as_of, run_id)

        loader = Loader(settings, SHOP, account, HASHER)
        loader.prepare()
        results = loader.run(
            [stream for stream in SHOP.streams if stream.name in feed],
            events,
            batch if landing else None,
            run_id=run_id,
            until=settings.as_of if until else None,
            **options,
        )
        return {result.stream: result for result in results}

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows, sorted."""
        with warehouse.connect(self.settings) as connection:
            return sorted(connection.execute(sql).fetchall(), key=str)

    def checks(self) -> list[tuple[Any, ...]]:
        return self.query("select id, total from raw_shop.checks")

    def lines(self, table: str = "lines", root: str = "checks") -> list[tuple[Any, ...]]:
        """The current lines, joined as staging joins them."""
        return self.query(
            f"select r.id, c.n from raw_shop.{table} c join raw_shop.{root} r "
            "on r.integration_id = c.integration_id and r.id = c.root_id and r.c4_seq = c.c4_seq"
        )

    def accounts(self) -> list[tuple[Any, ...]]:
        return self.query("select c4_scope, code from raw_shop.accounts")

    def table(self, name: str) -> list[tuple[Any, ...]]:
        """Every row without what tells one delivery from another."""
        with warehouse.connect(self.settings) as connection:
            found = warehouse.rows(connection, f"select * from raw_shop.{name}")
        for row in found:
            for delivery in ("c4_seq", "c4_version", "c4_landing"):
                row.pop(delivery, None)
        return sorted((tuple(sorted(row.items())) for row in found), key=str)

    def elsewhere(self, root: Path) -> Store:
        """An empty store: on Postgres the same database without what was loaded into it."""
        if not self.settings.is_duckdb:
            with warehouse.connect(self.settings, read_only=False) as connection:
                connection.execute("drop schema raw_shop cascade")
                connection.execute("drop schema raw_shop_staging cascade")
        return Store(root)

    def cursors(self) -> dict[str, str]:
        """The cursors that the next run will start from."""
        self.load({"checks": []}, until=False)
        return self.seen_cursors[-1]


@pytest.fixture
def store(tmp_path: Path, engine: str) -> Store:
    return Store(tmp_path)


def check(name: str, total: int = 0, version: int | None = None, lines: int = 0) -> dict[str, Any]:
    made: dict[str, Any] = {"id": name, "total": total, "lines": [{"n": n} for n in range(1, lines + 1)]}
    return made if version is None else made | {"version": version}


# Merging


def test_loading_twice_equals_loading_once(store: Store) -> None:
    """Catches: look-back windows that double checks or lines; merges that read a year of receipts for those of a night,
    as dlt's do on Postgres without an index.
    """
    feed = {
        "checks": whole(check("a", 1, 1, 2), check("b", 2, 1, 1)),
        "unversioned": whole(check("a", 1, lines=2)),
        "accounts": whole({"code": "1"}),
    }
    store.load(feed)
    tables = ["checks", "lines", "unversioned", "unversioned_lines", "accounts"]
    first = {name: store.table(name) for name in tables}
    assert all(first.values())
    store.load(feed)
    assert {name: store.table(name) for name in tables} == first
    assert store.lines() == [("a", 1), ("a", 2), ("b", 1)]
    if not store.settings.is_duckdb:
        found = store.query("select tablename, indexdef from pg_indexes where schemaname = 'raw_shop'")
        indexed = {(table, definition.partition(" USING btree ")[2]) for table, definition in found}
        assert {table: by for table, by in indexed if table in ("checks", "lines") and by != "(c4_seq)"} == {
            "checks": "(integration_id, id)"
        }
        assert {("checks", "(c4_seq)"), ("lines", "(c4_seq)")} <= indexed


def test_the_newest_version_wins_within_a_load_and_between_loads(store: Store) -> None:
    """Catches: a late edit undone by an older page that was read after it, today or by a replay."""
    store.load({"checks": [page([check("a", 20, 2, 2)]), page([check("a", 10, 1, 3)]), ScopeDone("o1")]})
    assert (store.checks(), store.lines()) == ([("a", 20)], [("a", 1), ("a", 2)])
    store.load({"checks": whole(check("a", 10, 1, 3), check("b", 1, 1, 1))})
    assert store.checks() == [("a", 20), ("b", 1)]
    assert store.lines() == [("a", 1), ("a", 2), ("b", 1)]
    store.load({"checks": whole(check("a", 10, 1, 3), check("a", 30, 3, 1))})
    assert (store.checks(), store.lines()) == ([("a", 30), ("b", 1)], [("a", 1), ("b", 1)])
    store.load({"checks": whole(check("a", 31, 3, 2))})  # the same stamp: the later reading
    assert (store.checks()[0], store.lines()) == (("a", 31), [("a", 1), ("a", 2), ("b", 1)])
    assert store.query("select root_id, n from raw_shop.lines") == store.lines()  # and nothing that nobody reads


def test_what_comes_again_unchanged_is_not_loaded_again(store: Store) -> None:
    """Catches: a late edit, another outlet's record or one that is gone from the warehouse taken for known; a list in
    which what is left out would be deleted; the second reading of a window that costs what the first did.
    """
    first = [check("a", 1, 1, 1), check("b", 1, 1, 2), check("c", 1, 1, 1)]
    store.load({"checks": whole(*first), "unversioned": whole(check("a")), "accounts": whole({"code": "1"})})
    before = dict(store.query("select id, c4_seq from raw_shop.checks"))
    with warehouse.connect(store.settings, read_only=False) as connection:
        connection.execute("delete from raw_shop.checks where id = 'c'")
    again = [check("a", 1, 1, 1), check("b", 2, 1, 1), check("c", 1, 1, 1)]
    told = store.load(
        {"checks": [*whole(*again), *whole(check("a", 1, 1, 1), scope="o2")], "accounts": whole({"code": "1"})},
        known_runs=[1],
    )
    assert (told["checks"].unchanged, told["checks"].rows) == (1, {"checks": 3, "lines": 3})
    assert (told["accounts"].unchanged, told["accounts"].rows) == (0, {"accounts": 1})
    after = dict(store.query("select id, c4_seq from raw_shop.checks"))
    assert (store.checks(), store.lines()) == ([("a", 1), ("b", 2), ("c", 1)], [("a", 1), ("b", 1), ("c", 1)])
    assert all(after[name] > before[name] for name in "abc")  # a: from the other outlet
    told = store.load({"checks": whole(*again)}, known_runs=[2])
    assert told["checks"].unchanged == 2  # the row of a is the other outlet's
    told = store.load({"checks": whole(*again)}, known_runs=[1])
    assert told["checks"].unchanged == 0


def test_without_a_version_the_later_reading_wins(store: Store) -> None:
    store.load({"unversioned": [page([check("a", 1, lines=2)]), page([check("a", 2, lines=1)]), ScopeDone("o1")]})
    assert store.query("select total from raw_shop.unversioned") == [(2,)]
    assert store.lines("unversioned_lines", "unversioned") == [("a", 1)]
    store.load({"unversioned": whole(check("a", 3))})
    assert store.query("select total from raw_shop.unversioned") == [(3,)]


def test_lines_that_the_vendor_removed_are_no_longer_current(store: Store) -> None:
    """Catches: sales that stay in the books although the check lost the line, or all of its lines."""
    store.load({"checks": whole(check("a", 1, 1, 3), check("b", 1, 1, 2))})
    store.load({"checks": whole(check("a", 1, 2, 1), check("b", 1, 2, 0))})
    assert store.lines() == [("a", 1)]
    store.load({"checks": whole(check("a", 1, 3, 0))})
    assert store.lines() == store.query("select root_id, n from raw_shop.lines") == []


def test_records_of_one_long_page_do_not_share_their_number(store: Store) -> None:
    """Catches: a page longer than any limit whose last records pass for those of the next page."""
    store.load({"unversioned": [page([check(str(n)) for n in range(100_001)]), page([check("last"), check("0", 5)])]})
    assert store.query("select count(distinct c4_seq), count(*) from raw_shop.unversioned") == [(100_002, 100_002)]
    assert store.query("select total from raw_shop.unversioned where id = '0'") == [(5,)]


def test_empty_pages_and_no_pages_load_nothing_and_move_the_cursor(store: Store) -> None:
    """Catches: a quiet night that fails, or that is read again for ever."""
    results = store.load({"checks": [page([]), ScopeDone("o1"), ScopeDone("o2")]})
    assert results["checks"].status == "ok"
    assert sum(results["checks"].rows.values()) == 0
    assert store.cursors() == dict.fromkeys(("o1", "o2"), "2026-04-06T22:00:00+00:00")


def test_two_accounts_of_a_vendor_live_side_by_side(store: Store) -> None:
    """Catches: an account that overwrites or clears the rows of another with the same keys."""
    feed = {"checks": whole(check("a", 1, 1, 1)), "accounts": whole({"code": "1"}, {"code": "2"})}
    store.load(feed)
    store.load({"checks": whole(check("a", 2, 1, 2)), "accounts": whole({"code": "9"})}, account="shop-2")
    store.load({"checks": whole(check("a", 3, 2, 1)), "accounts": whole({"code": "1"})})
    assert store.query("select integration_id, total from raw_shop.checks") == [
        ("shop-1", 3),
        ("shop-2", 2),
    ]
    assert store.lines() == [("a", 1), ("a", 1), ("a", 2)]
    assert store.query("select integration_id, code from raw_shop.accounts") == [
        ("shop-1", "1"),
        ("shop-2", "9"),
    ]


def test_personal_data_reaches_no_file(store: Store) -> None:
    """Catches: a raw phone number in the warehouse or in dlt's working folder."""
    store.load({"checks": whole(check("a", 1, 1) | {"guest": "+62811000999"})})
    assert store.query("select guest from raw_shop.checks") == [(HASHER("+62811000999"),)]
    for path in store.root.rglob("*"):
        assert not path.is_file() or b"+62811000999" not in path.read_bytes()


# Replace streams


def test_rows_that_disappeared_are_gone_scope_by_scope(store: Store) -> None:
    """Catches: a closed account that stays for ever, another outlet's rows swept away."""
    store.load({"accounts": [*whole({"code": "1"}, {"code": "2"}), *whole({"code": "3"}, scope="o2")]})
    store.load({"accounts": whole({"code": "2"}, {"code": "4"})})
    assert store.accounts() == [("o1", "2"), ("o1", "4"), ("o2", "3")]


def test_a_list_that_became_empty_empties_its_scope_only(store: Store) -> None:
    """Catches: the last row of a list, which never disappears."""
    store.load({"accounts": [*whole({"code": "1"}), *whole({"code": "3"}, scope="o2")]})
    store.load({"accounts": whole({"code": "9"})}, account="shop-2")
    store.load({"accounts": [page([]), ScopeDone("o1")]})
    assert store.accounts() == [("o1", "9"), ("o2", "3")]
    store.load({"accounts": [ScopeDone("o2")]})
    assert store.accounts() == [("o1", "9")]


INCOMPLETE: dict[str, list[Event]] = {  # by scope
    "half": [page([{"code": "1"}], "half"), ScopeFailed("half", RetriableError("away"))],
    "away": [ScopeFailed("away", RetriableError("away"))],
    "torn": [page([{"code": "1"}], "torn"), page(b'[{"code"', "torn"), ScopeDone("torn")],
    "unreadable": [page(b"<html>", "unreadable"), ScopeDone("unreadable")],
    "misfit": [page([{"kode": "1"}, {"kode": "2"}], "misfit"), ScopeDone("misfit")],
}


def test_half_a_list_replaces_nothing(store: Store) -> None:
    """Catches: a chart of accounts that loses everything on the pages that did not arrive."""
    listed = {scope: [f"{scope} 1", f"{scope} 2"] for scope in INCOMPLETE}
    before = [event for scope, codes in listed.items() for event in whole(*({"code": c} for c in codes), scope=scope)]
    store.load({"accounts": [*before, *whole({"code": "old"}, scope="o2")]})
    halves = [event for events in INCOMPLETE.values() for event in events]
    results = store.load({"accounts": [*halves, *whole({"code": "new"}, scope="o2")]})
    kept = [(scope, code) for scope, codes in listed.items() for code in codes]
    assert store.accounts() == sorted([*kept, ("o2", "new")])
    assert results["accounts"].rows == {"accounts": 1}


def test_a_selection_of_records_is_merged_into_the_list(store: Store) -> None:
    """Catches: one mended record that sweeps away the rest of the list."""
    store.load({"accounts": whole({"code": "1"}, {"code": "2"})})
    results = store.load(
        {"accounts": [page([{"code": "2", "name": "mended"}])]},
        until=False,
        whole=False,
        watch_keys={"accounts": {"2", "3"}},
    )
    assert results["accounts"].loaded_keys == {"2"}
    assert store.query("select code, name from raw_shop.accounts") == [("1", ""), ("2", "mended")]
    store.load({"accounts": whole({"code": "2"})})  # and the next night replaces as before
    assert store.accounts() == [("o1", "2")]


def test_the_last_whole_reading_counts_when_several_are_replayed(store: Store, tmp_path: Path) -> None:
    """Catches: rows of older nights that come back with a replay, a half night that wins over a whole one."""
    landing = LandingZone(str(tmp_path / "landing"), Keyring((b"k" * 32,)).cipher("landing"))
    nights: list[list[Event]] = [
        whole({"code": "1"}, {"code": "2"}),
        [*whole({"code": "2"}), ScopeDone("o2")],
        [page([{"code": "3"}]), ScopeFailed("o1", RetriableError("away"))],
    ]
    for night in nights:
        store.load({"accounts": night}, landing=landing)
    assert store.accounts() == [("o1", "2")]
    fresh = store.elsewhere(tmp_path / "fresh")

    def landed() -> Iterator[Event]:
        for name in landing.batches("shop", "shop-1", "accounts"):
            for found in landing.pages(name):
                if found.meta.kind == "done":
                    yield ScopeDone(found.meta.scope)
                else:
                    yield Page(found.content, found.meta.scope, found.meta.constants, reference=found.reference)

    fresh.load({"accounts": landed()}, until=False)
    assert fresh.accounts() == [("o1", "2")]


# Cursors


def test_a_cursor_moves_only_where_everything_was_read(store: Store) -> None:
    """Catches: a window that is never read again although part of it did not arrive."""
    results = store.load(
        {
            "checks": [
                *whole(check("a", 1, 1), scope="o1"),
                page([check("b", 1, 1)], "o2"),
                ScopeFailed("o2", RetriableError("away")),
                page(b"<html>", "o3"),
                ScopeDone("o3"),
                *whole(check("c", 1, 1), {"id": 5}, scope="o4"),
                Reject("f.csv#1", "total", "is no number", scope="o4"),
            ]
        }
    )["checks"]
    assert store.cursors() == dict.fromkeys(("o1", "o4"), "2026-04-06T22:00:00+00:00")
    assert store.checks() == [("a", 1), ("b", 1), ("c", 1)]  # what came of a failed outlet is kept
    assert results.status == "partial"
    assert results.error == "away"
    assert [(reject.scope, reject.kind) for reject, _ in results.rejects] == [
        ("o3", "page"),
        ("o4", "record"),
        ("o4", "record"),
    ]


def test_a_replay_moves_no_cursor(store: Store) -> None:
    store.load({"checks": whole(check("a", 1, 1))})
    store.load({"checks": whole(check("b", 1, 1), scope="o2")}, until=False)
    assert store.cursors() == {"o1": "2026-04-06T22:00:00+00:00"}


def test_cursors_come_back_from_the_warehouse_when_the_working_folder_is_lost(store: Store) -> None:
    """Catches: everything read again from the start after a move to another machine."""
    store.load({"checks": whole(check("a", 1, 1))})
    store.load({"checks": whole(check("b", 1, 1))}, account="shop-2")
    shutil.rmtree(store.root / "dlt")
    store.load({"checks": whole(check("a", 2, 2))})
    assert store.seen_cursors[-1] == {"o1": "2026-04-06T22:00:00+00:00"}
    assert store.query("select total from raw_shop.checks where integration_id = 'shop-1'") == [(2,)]


def test_an_extraction_that_breaks_commits_nothing_and_is_repeated(store: Store, tmp_path: Path) -> None:
    """Catches: a cursor that moved, or a batch that is visible, although the run died."""
    landing = LandingZone(str(tmp_path / "landing"), Keyring((b"k" * 32,)).cipher("landing"))

    def broken() -> Iterator[Event]:
        yield from whole(check("a", 1, 1))
        raise OSError("no space left on device")

    with pytest.raises(Exception, match="no space left"):
        store.load({"checks": broken()}, landing=landing)
    assert landing.batches("shop", "shop-1") == []
    store.load({"checks": whole(check("b", 1, 1))}, landing=landing)
    assert store.seen_cursors == [{}, {}]
    assert store.checks() == [("b", 1)]


# Killed runs

KILLED = """
    import os, sys
    from pathlib import Path
    from ingestion.core import dlt_settings
    from tests.forks import forked
    from tests.unit.test_load import Store, check, kill_at, whole
    dlt_settings.VALUES["workers"] = 1  # jobs in their order: a place is the same place every time

    def load(place):
        name, _, os.environ["C4_WAREHOUSE"] = place.partition("=")
        kill_at(name.partition(" ")[2])
        store = Store(Path(sys.argv[1]) / name)
        store.load({"checks": whole(check("a", 1, 1, 2)), "accounts": whole({"code": "1"})})

    for place in sys.argv[2:]:
        print(forked(lambda: load(place)), flush=True)
"""
PLACES = (
    "duckdb load.extracted",
    "duckdb insert-after:1",
    "duckdb insert-after:3",
    "duckdb load.loaded",
    "postgres insert-after:1",  # where the engine makes the difference
    "postgres insert-after:3",
)


def kill_at(where: str) -> None:
    """Have this process die as in a power cut: at a failpoint, or when the nth table has just been filled."""
    if not where.startswith("insert"):
        os.environ["C4_FAILPOINT"] = where
        return
    from dlt.destinations.impl.duckdb.duck import DuckDbCopyJob
    from dlt.destinations.impl.postgres.postgres import PostgresParquetCopyJob

    left = int(where.partition(":")[2])

    def dying(fill: Callable[[Any], None]) -> Callable[[Any], None]:
        def die(job: Any) -> None:
            nonlocal left
            fill(job)
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

        return die

    DuckDbCopyJob.run = dying(DuckDbCopyJob.run)  # type: ignore[method-assign]
    PostgresParquetCopyJob.run = dying(PostgresParquetCopyJob.run)  # type: ignore[method-assign]


@dataclass
class Killed:
    """A folder with one data folder per place at which a run was killed, and the warehouses by place."""

    root: Path
    warehouses: dict[str, str]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Killed]:
    """Killed by one process for all places: to import what loads takes longer than to load."""
    root = tmp_path_factory.mktemp("killed")
    with ExitStack() as stack:
        warehouses = {
            place: stack.enter_context(postgres.database(postgres_server)) if place.startswith("postgres") else ""
            for place in PLACES
        }
        ended = subprocess.run(
            [
                *(sys.executable, "-c", textwrap.dedent(KILLED), str(root)),
                *(f"{place}={url}" for place, url in warehouses.items()),
            ],
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert ended.stdout.split() == [str(-signal.SIGKILL)] * len(PLACES), ended.stderr
        yield Killed(root, warehouses)


@pytest.mark.xdist_group("killed-loads")  # one fixture has killed them all
@pytest.mark.parametrize("place", PLACES)
def test_a_killed_run_is_finished_by_the_next_and_counts_once(
    killed: Killed, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: lost rows, lines counted twice, or a cursor without its rows, wherever the process died; also when
    another account of the vendor has loaded in between.
    """
    monkeypatch.setenv("C4_WAREHOUSE", killed.warehouses[place])
    store = Store(killed.root / place, runs=1)
    store.load({"checks": whole(check("x", 7, 1, 1)), "accounts": whole({"code": "8"})}, account="shop-2")
    store.load({"checks": whole(check("b", 2, 1, 1))})
    assert store.seen_cursors[-1] == {"o1": "2026-04-06T22:00:00+00:00"}
    assert store.checks() == [("a", 1), ("b", 2), ("x", 7)]
    assert store.query("select root_id, n from raw_shop.lines") == [("a", 1), ("a", 2), ("b", 1), ("x", 1)]
    assert store.accounts() == [("o1", "1"), ("o1", "8")]


@pytest.mark.parametrize("why", ["broken", "another machine may have loaded since"])
def test_an_unfinished_load_that_cannot_be_finished_is_read_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """Catches: an account that fails every night from then on, or loses the night that got stuck; old deliveries that
    a machine which comes back puts over newer ones.
    """

    def die(name: str) -> None:
        if name == "load.extracted":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(load, "failpoint", die)
        with pytest.raises(KeyboardInterrupt):
            store.load({"checks": whole(check("a", 1, 1, 2))})
    (stuck,) = (store.root / "dlt").rglob("new_jobs/checks.*.parquet")
    if why == "broken":
        stuck.write_bytes(b"not parquet")
    else:
        monkeypatch.setenv("C4_EXECUTOR", "celery")
    store.load({"checks": whole(check("a", 1, 1, 2))})
    assert store.seen_cursors[-1] == {}  # the stuck night's window is asked for again
    assert store.lines() == [("a", 1), ("a", 2)]


# Size


def test_memory_is_bounded_by_chunks_not_by_the_night(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a night gathered in memory before it is written, or written row group by tiny row group."""
    monkeypatch.setitem(dlt_settings.VALUES, "delete_completed_jobs", False)
    monkeypatch.setattr(load, "CHUNK_ROWS", 20_000)

    def night() -> Iterator[Event]:
        for number in range(60):
            yield page([check(f"{number}-{n}", lines=2) for n in range(500)])
        yield ScopeDone("o1")

    results = store.load({"unversioned": night()})
    assert results["unversioned"].rows == {"unversioned": 30_000, "unversioned_lines": 60_000}
    assert store.query("select count(*) from raw_shop.unversioned_lines") == [(60_000,)]
    sizes = [
        pq.ParquetFile(path).metadata.row_group(group).num_rows
        for path in (store.root / "dlt").rglob("unversioned*.parquet")
        for group in range(pq.ParquetFile(path).metadata.num_row_groups)
    ]
    assert sum(sizes) == 90_000
    assert max(sizes) <= 20_000 + 1_500  # a chunk, and the page that filled it
    assert len(sizes) <= 2 * 5


def test_what_was_loaded_is_not_kept_a_second_time(store: Store) -> None:
    """Catches: a disk that fills up with copies of every night."""
    store.load({"checks": whole(check("a", 1, 1))})
    assert list((store.root / "dlt").rglob("*.parquet")) == []
