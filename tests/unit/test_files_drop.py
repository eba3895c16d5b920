"""The drop folder and the import: what lies there, what counts once, what a correction replaces."""

from __future__ import annotations

import gzip
import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from ingestion.core import warehouse
from ingestion.core.config import ConfigError
from ingestion.core.errors import AccessError
from ingestion.core.fetch import FetchContext, Page
from ingestion.core.http import ApiClient
from ingestion.core.platform import Platform
from ingestion.core.settings import PROJECT_ROOT, Settings
from ingestion.core.sync import SyncReport, replay, sync
from ingestion.core.warehouse import as_dicts
from ingestion.vendors.files import CONNECTOR
from ingestion.vendors.files.importer import import_file
from tests.staging import staging_sql
from tests.stand import Stand, night_of, no_sleep

AS_OF = datetime(2026, 4, 6, 12, tzinfo=UTC)
HEADER = "bill,at,item,qty,price"
MAPPING = {
    "name": "shop",
    "format": "csv",
    "outlet": {"constant": "S-1"},
    "outlets": [{"outlet_id": "S-1", "name": "Shop", "timezone": "Asia/Jakarta", "currency": "IDR"}],
    "entity": {"entity_id": "S", "name": "PT Shop", "currency": "IDR", "currency_exponent": 0, "country": "ID"},
    "check": {
        "id": "bill",
        "opened_at": {"column": "at", "formats": ["%Y-%m-%d %H:%M"]},
        "channel": {"constant": "Dine In"},
        "tender": {"constant": "Cash"},
    },
    "line": {"product_code": "item", "quantity": "qty", "unit_price": "price"},
}
DAY = f"{HEADER}\n1,2026-04-05 10:00,A,2,10\n1,2026-04-05 10:00,B,1,5\n2,2026-04-05 11:00,A,1,10\n"


def staging(connection: duckdb.DuckDBPyConnection, model: str) -> list[dict[str, Any]]:
    """The rows of a staging model over the raw tables."""
    return as_dicts(connection.execute(staging_sql("files", model)))


@dataclass
class Shop:
    """A drop folder with its own data folder and clock."""

    root: Path
    as_of: datetime = AS_OF

    @property
    def folder(self) -> Path:
        return self.root / "drop"

    def deliver(self, name: str, content: str | bytes, age: timedelta = timedelta(hours=1)) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        stamp = (self.as_of - age).timestamp()
        os.utime(path, (stamp, stamp))
        return path

    def platform(self, **values: str) -> Platform:
        opened = Platform.open(Settings.load(self.root, self.as_of))
        integrations = tuple(
            type(item)(
                **{
                    **{name: getattr(item, name) for name in item.__struct_fields__},
                    "settings": {**item.settings, **values},
                }
            )
            for item in opened.config.integrations
        )
        return replace(opened, config=replace(opened.config, integrations=integrations))

    def sync(self, **values: str) -> SyncReport:
        return sync(self.platform(**values), "shop", sleep=no_sleep)

    def rejects(self) -> list[tuple[str, int, str]]:
        rows = self.platform().ops.rejects(status="open")
        return sorted((str(row["kind"]), int(str(row["row"])), str(row["field"])) for row in rows)

    def live(self, model: str = "checks") -> list[dict[str, Any]]:
        warehouse.ensure_raw_tables(Settings.load(self.root, self.as_of), [CONNECTOR])
        with duckdb.connect(str(self.root / "warehouse.duckdb"), read_only=True) as connection:
            return staging(connection, model)

    def net(self) -> dict[str, Decimal]:
        return {row["check_id"]: row["net_sales"] for row in self.live()}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    config = tmp_path / "config"
    (config / "files").mkdir(parents=True)
    (config / "files" / "shop.yaml").write_text(yaml.safe_dump(MAPPING))
    entity = {"entity_id": "S", "name": "PT Shop", "currency": "IDR", "currency_exponent": 0, "country": "ID"}
    (config / "company.yaml").write_text(
        yaml.safe_dump({"group": "Shop", "group_currency": "IDR", "entities": [entity]})
    )
    (config / "outlets.csv").write_text(
        "outlet_id,entity_id,name,region,city,timezone,currency,tax_jurisdiction\n"
        "S-1,S,Shop,id,Jakarta,Asia/Jakarta,IDR,ID-JKT\n"
    )
    integration = {
        "integration_id": "shop",
        "vendor": "files",
        "entity_ids": ["S"],
        "start_date": "2026-04-01",
        "settings": {"folder": str(tmp_path / "drop"), "mapping": "shop"},
        "outlets": {"S-1": "S-1"},
    }
    (config / "integrations.yaml").write_text(yaml.safe_dump({"integrations": [integration]}))
    (tmp_path / "drop").mkdir()
    return Shop(tmp_path)


# What lies there


def fetched(shop: Shop, **values: str) -> set[str]:
    """Names of the files that a fetch takes."""
    client = ApiClient(CONNECTOR, "shop", {}, {})
    settings = {"folder": str(shop.folder), "mapping": "shop", "config": str(shop.root / "config"), **values}
    context = FetchContext(client, CONNECTOR.stream("checks"), "", {**settings, "until": shop.as_of})
    fetch = CONNECTOR.stream("checks").fetch
    assert fetch is not None
    pages: list[Page] = list(fetch(context))
    return {page.constants["path"] for page in pages if page.kind == "file"}


def test_files_under_way_are_left_alone(shop: Shop) -> None:
    """Catches: half a file loaded as a whole one."""
    for name in (".day.csv", "day.csv.tmp", "day.csv.part", "day.csv.filepart", "~$day.csv", "DAY.CRDOWNLOAD"):
        shop.deliver(name, DAY)
    shop.deliver("empty.csv", "")
    shop.deliver("young.csv", DAY, age=timedelta(seconds=59))
    shop.deliver("whole.csv", f"{DAY}3,2026-04-05 12:00,A,1,1\n", age=timedelta(seconds=60))
    assert fetched(shop) == {"whole.csv"}
    assert fetched(shop, stable_seconds="0") == {"whole.csv", "young.csv"}
    shop.as_of += timedelta(seconds=1)
    assert fetched(shop) == {"whole.csv", "young.csv"}


def test_a_marker_says_that_a_file_is_whole(shop: Shop) -> None:
    shop.deliver("a.csv", DAY)
    shop.deliver("b.csv", f"{DAY}3,2026-04-05 12:00,A,1,1\n", age=timedelta(0))
    shop.deliver("b.csv.done", "")
    assert fetched(shop, marker=".done") == {"b.csv"}


def test_a_pattern_chooses_files_also_below_the_folder(shop: Shop) -> None:
    shop.deliver("in/day.csv", DAY)
    shop.deliver("in/readme.txt", "hello")
    assert fetched(shop, pattern="**/*.csv") == {"in/day.csv"}


def test_a_file_from_the_future_is_told(shop: Shop) -> None:
    """Catches: a sender whose clock is wrong and whose files are waited for in silence."""
    shop.deliver("day.csv", DAY, age=timedelta(days=-3))
    shop.sync()
    assert shop.rejects() == [("file", 0, "file")]
    assert shop.live() == []


@pytest.mark.parametrize(
    ("values", "told"),
    [({"folder": "/nowhere/at/all"}, "folder"), ({"mapping": "unknown"}, "unknown"), ({"mapping": ""}, "no mapping")],
)
def test_a_wrong_setting_needs_a_person(shop: Shop, values: dict[str, str], told: str) -> None:
    with pytest.raises(AccessError, match=told):
        fetched(shop, **values)
    assert told in shop.sync(**values).streams[0].error


# What counts


def test_the_same_content_counts_once_under_any_name(shop: Shop) -> None:
    """Catches: doubled sales when a sender repeats a file, renames it or sends it twice in one night."""
    shop.deliver("a.csv", DAY)
    shop.deliver("copy-in-the-same-night.csv", DAY)
    shop.sync()
    first = shop.net()
    assert first == {"1": 25, "2": 10}
    shop.deliver("again.csv", DAY)
    report = shop.sync()
    assert sum(result.rows.get("checks", 0) for result in report.streams) == 0
    assert shop.net() == first
    statuses = {row["path"]: row["status"] for row in _raw(shop, "files")}
    assert statuses == {"a.csv": "loaded", "copy-in-the-same-night.csv": "duplicate", "again.csv": "duplicate"}
    totals = {row["measure"]: row["amount"] for row in shop.live("pos_control_totals")}
    assert (totals["checks"], totals["net_sales"]) == (2, 35)


def test_new_content_under_the_same_name_replaces_the_old(shop: Shop) -> None:
    """Catches: checks and lines that a correction dropped and that stay; a correction that adds to the old."""
    shop.deliver("day.csv", DAY)
    shop.sync()
    shop.deliver("day.csv", f"{HEADER}\n1,2026-04-05 10:00,A,2,10\n3,2026-04-05 12:00,C,1,7\n")
    shop.sync()
    assert shop.net() == {"1": 20, "3": 7}
    assert sorted((row["check_id"], row["product_code"]) for row in shop.live("check_lines")) == [
        ("1", "A"),
        ("3", "C"),
    ]
    assert sum(row["amount"] for row in shop.live("check_payments")) == 27
    assert {row["measure"]: row["amount"] for row in shop.live("pos_control_totals")}["net_sales"] == 27
    shop.deliver("day.csv", DAY)  # the sender takes the correction back
    shop.sync()
    assert shop.net() == {"1": 25, "2": 10}


def test_a_check_in_two_files_counts_once(shop: Shop) -> None:
    """Catches: overlapping exports (a daily and a weekly file) that double a day."""
    shop.deliver("day.csv", DAY)
    shop.deliver("week.csv", f"{DAY}3,2026-04-06 12:00,A,1,1\n")
    shop.sync()
    assert shop.net() == {"1": 25, "2": 10, "3": 1}
    assert len(shop.live("check_lines")) == 4
    shop.deliver("week.csv", f"{HEADER}\n3,2026-04-06 12:00,A,1,1\n")
    shop.sync()
    assert shop.net() == {"1": 25, "2": 10, "3": 1}


def test_a_truncated_file_is_rejected_whole_and_heals(shop: Shop) -> None:
    """Catches: part of a day loaded; yesterday's good version lost to a broken correction; a reject that never ends."""
    shop.deliver("day.csv.gz", gzip.compress(DAY.encode()))
    shop.sync()
    assert shop.net() == {"1": 25, "2": 10}
    fresh = gzip.compress(f"{DAY}3,2026-04-05 12:00,A,1,1\n".encode())
    shop.deliver("day.csv.gz", fresh[:-10])
    assert shop.sync().status == "ok"
    assert shop.rejects() == [("file", 0, "file")]
    assert shop.net() == {"1": 25, "2": 10}
    shop.sync()
    assert shop.rejects() == [("file", 0, "file")]
    shop.deliver("day.csv.gz", fresh)
    shop.sync()
    assert shop.rejects() == []
    assert shop.net() == {"1": 25, "2": 10, "3": 1}


def test_a_broken_correction_that_is_taken_back_leaves_no_reject(shop: Shop) -> None:
    shop.deliver("day.csv.gz", gzip.compress(DAY.encode(), mtime=0))
    shop.sync()
    shop.deliver("day.csv.gz", gzip.compress(DAY.encode(), mtime=0)[:-10])
    shop.sync()
    shop.deliver("day.csv.gz", gzip.compress(DAY.encode(), mtime=0))
    shop.sync()
    assert shop.rejects() == []
    assert shop.net() == {"1": 25, "2": 10}


def test_row_rejects_end_with_the_corrected_file_and_others_stay(shop: Shop) -> None:
    shop.deliver("a.csv", f"{DAY}3,2026-04-05 12:00,A,x,1\n4,2026-04-05 12:00,A,1,y\n")
    shop.deliver("b.csv", f"{HEADER}\n9,2026-04-05 12:00,A,z,1\n")
    shop.sync()
    assert shop.rejects() == [("record", 2, "qty"), ("record", 5, "qty"), ("record", 6, "price")]
    shop.deliver("a.csv", f"{DAY}3,2026-04-05 12:00,A,1,1\n4,2026-04-05 12:00,A,1,y\n")
    shop.sync()
    assert shop.rejects() == [("record", 2, "qty"), ("record", 6, "price")]
    assert shop.net()["3"] == 1


def test_a_mended_mapping_reads_the_file_again(shop: Shop) -> None:
    """Catches: a file that stays wrong because its content is known."""
    shop.deliver("day.csv", f'{HEADER}\n1,2026-04-05 10:00,A,1,"1,50"\n')
    shop.sync()
    assert shop.rejects() == [("record", 2, "price")]
    mended = {**MAPPING, "numbers": {"decimal": ","}}
    (shop.root / "config" / "files" / "shop.yaml").write_text(yaml.safe_dump(mended))
    shop.sync()
    assert shop.rejects() == []
    assert shop.net() == {"1": Decimal("1.5")}


def test_landing_keeps_the_file_byte_for_byte_and_replays(shop: Shop) -> None:
    """Catches: an original that cannot be shown to an auditor, a replay that needs the sender."""
    content = DAY.encode()
    shop.deliver("day.csv", content)
    shop.sync()
    platform = shop.platform()
    landed = [
        page
        for batch in platform.landing.batches("files", "shop", "checks")
        for page in platform.landing.pages(batch)
        if page.meta.kind == "file"
    ]
    assert b"".join(page.content for page in landed) == content
    assert {page.meta.constants["path"] for page in landed} == {"day.csv"}
    before = shop.net()
    (shop.root / "warehouse.duckdb").unlink()
    (shop.folder / "day.csv").unlink()
    assert replay(platform, "shop").status == "ok"
    assert shop.net() == before


def _raw(shop: Shop, table: str) -> list[dict[str, Any]]:
    with duckdb.connect(str(shop.root / "warehouse.duckdb"), read_only=True) as connection:
        cursor = connection.execute(f"select * from raw_files.{table}")
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


# Import


def breaking(rows: list[str]) -> list[str]:
    """Ten rows broken in ten ways."""
    breaks: list[Callable[[str], str]] = [
        lambda row: row.replace(",M,", ",M,,", 1) if ",M," in row else row + ",x",
        lambda row: ",".join(row.split(",")[:-1]),
        lambda row: ",".join([*row.split(",")[:-1], "free"]),
        lambda row: ",".join([*row.split(",")[:-1], ""]),
        lambda row: ",".join([*row.split(",")[:-1], "-12.50"]),
        lambda row: ",".join([row.split(",")[0], "", *row.split(",")[2:]]),
        lambda row: row.replace("/2015", "/2O15", 1),
        lambda row: ",".join([*row.split(",")[:3], "25:00:00", *row.split(",")[4:]]),
        lambda row: ",".join([*row.split(",")[:4], "", *row.split(",")[5:]]),
        lambda row: ",".join([*row.split(",")[:5], "NULL", *row.split(",")[6:]]),
    ]
    found = list(rows)
    for number, spoil in enumerate(breaks):
        found[10 + 7 * number] = spoil(found[10 + 7 * number])
    return found


PIZZAS = ["hawaiian,M,classic,13.25", "classic_dlx,M,classic,16", "mexicana,M,veggie,16", "thai_ckn,L,chicken,20.75"]


def pizza_file(rows: int) -> list[str]:
    return [
        f"{n + 1},2015-{n // 3:06},1/{1 + n % 28}/2015,11:{n % 60:02}:00,{PIZZAS[n % 4]}".replace(
            f"1/{1 + n % 28}/", f"1/{1 + n // 3 % 28}/", 1
        )
        for n in range(rows)
    ]


def test_a_single_mapping_imports_a_file_on_an_empty_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a second import that changes a total, a broken copy that loads too little or lists too much."""
    monkeypatch.delenv("C4_CONFIG", raising=False)
    mapping = PROJECT_ROOT / "config" / "files" / "pizzaplace.yaml"
    rows = pizza_file(300)
    path = tmp_path / "pizza.csv"
    path.write_text("\n".join(["id,order_id,date,time,name,size,type,price", *rows]))
    settings = Settings.load(tmp_path / "data", AS_OF)
    report = import_file(settings, path, mapping)
    assert (report.status, report.rows, report.rejects, report.error) == ("loaded", 300, 0, "")
    shop = Shop(tmp_path / "data")
    net = shop.net()
    assert (len(net), sum(net.values())) == (100, sum(Decimal(row.rsplit(",", 1)[1]) for row in rows))
    config = Platform.open(report.settings).config
    assert [item.outlet_id for item in config.outlets] == ["PIZZA-001"]
    assert config.integration("import-pizzaplace").enabled is False

    again = import_file(Settings.load(tmp_path / "data", AS_OF), path, mapping)
    assert (again.status, shop.net()) == ("known", net)

    broken = tmp_path / "copy" / "pizza.csv"
    broken.parent.mkdir()
    broken.write_text("\n".join(["id,order_id,date,time,name,size,type,price", *breaking(rows)]))
    report = import_file(Settings.load(tmp_path / "data", AS_OF), broken, mapping)
    assert (report.status, report.rejects) == ("loaded", 10)
    assert [row for _, row, _ in shop.rejects()] == [12 + 7 * n for n in range(10)]
    assert len(shop.live("check_lines")) == 290
    assert import_file(report.settings, broken, mapping).rejects == 10


def test_an_import_beside_a_configured_company_adds_and_changes_nothing(shop: Shop, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in (shop.root / "config").iterdir() if path.is_file()}
    path = tmp_path / "pizza.csv"
    path.write_text("\n".join(["id,order_id,date,time,name,size,type,price", *pizza_file(9)]))
    report = import_file(Settings.load(shop.root, AS_OF), path, PROJECT_ROOT / "config" / "files" / "pizzaplace.yaml")
    after = {path.name: path.read_bytes() for path in (shop.root / "config").iterdir() if path.is_file()}
    assert after == before
    config = Platform.open(report.settings).config
    assert {item.outlet_id for item in config.outlets} == {"S-1", "PIZZA-001"}
    assert {item.integration_id for item in config.integrations} == {"shop", "import-pizzaplace"}


def test_a_mapping_without_outlets_needs_a_company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("C4_CONFIG", raising=False)
    path = tmp_path / "sales_SYD-001_20260404.csv"
    path.write_text("x")
    with pytest.raises(ConfigError, match="no company"):
        import_file(Settings.load(tmp_path / "data", AS_OF), path, PROJECT_ROOT / "config" / "files" / "sydney.yaml")


def shared_file(name: str) -> Path:
    folder = Path(os.environ.get("C4_SHARED") or PROJECT_ROOT.parent / "shared")
    path = folder / "data" / name
    if not path.exists():
        pytest.skip(f"{name} is not beside the project")
    return path


def test_the_real_pizza_year(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A year of a real restaurant's sales, to the cent."""
    monkeypatch.delenv("C4_CONFIG", raising=False)
    path = shared_file("pizzaplace.csv")
    report = import_file(Settings.load(tmp_path, AS_OF), path, PROJECT_ROOT / "config" / "files" / "pizzaplace.yaml")
    assert (report.status, report.rows, report.rejects) == ("loaded", 49_574, 0)
    shop = Shop(tmp_path)
    assert (len(shop.net()), len(shop.live("check_lines"))) == (21_350, 49_574)
    assert sum(shop.net().values()) == Decimal("817860.05")
    measures: dict[str, Decimal] = defaultdict(Decimal)
    for row in shop.live("pos_control_totals"):
        measures[row["measure"]] += row["amount"]
    assert (measures["checks"], measures["net_sales"]) == (21_350, Decimal("817860.05"))


# The till in Sydney


def test_what_the_till_drops_is_the_simulated_truth(tmp_path: Path) -> None:
    """Prices with tax, tips, refunds, voids and the repeated hour come out to the rupiah, on every night."""
    with Stand.open(tmp_path, ["files"]) as stand:
        for day in (1, 2):
            stand.set_clock(night_of(day))
            (report,) = stand.sync_all()
            assert (report.status, report.rejects) == ("ok", 0)
            with duckdb.connect(str(stand.settings().warehouse_path), read_only=True) as connection:
                checks = {row["check_id"]: row for row in staging(connection, "checks") if not row["is_voided"]}
                lines = [row for row in staging(connection, "check_lines") if row["check_id"] in checks]
            for (outlet_id, business_date), truth in stand.company.truth(stand.now).items():
                if outlet_id != "SYD-001":
                    continue
                rate = stand.company.rate("AUD", "IDR", business_date)
                mine = {key: row for key, row in checks.items() if row["source_business_date"] == business_date}
                got = [(rate * row["net_sales"], rate * row["tax"], rate * row["tip"]) for row in mine.values()]
                assert sum(row["check_type"] == "sale" for row in mine.values()) == truth.checks
                assert sum(_rupiah(tax) for _, tax, _ in got) == truth.tax
                assert sum(_rupiah(tip) for _, _, tip in got) == truth.tips
                net = sum(
                    _rupiah(rate * line["gross_sales"])
                    - _rupiah(rate * line["discounts"])
                    - _rupiah(rate * line["returns"])
                    for line in lines
                    if line["check_id"] in mine
                )
                assert net == truth.net_sales


def test_the_till_is_asked_for_its_files_and_its_control_totals_agree(tmp_path: Path) -> None:
    with Stand.open(tmp_path, ["files"]) as stand:
        stand.sync_all()
        with duckdb.connect(str(stand.settings().warehouse_path), read_only=True) as connection:
            totals = {
                (row["control_date"], row["measure"]): row["amount"]
                for row in staging(connection, "pos_control_totals")
            }
            found: dict[Any, Decimal] = defaultdict(Decimal)
            for row in staging(connection, "checks"):
                if not row["is_voided"]:
                    found[row["source_business_date"], "net_sales"] += row["net_sales"]
                    found[row["source_business_date"], "tax"] += row["tax"]
                    found[row["source_business_date"], "returns"] += row["returns"]
                    found[row["source_business_date"], "checks"] += row["check_type"] == "sale"
        assert totals == found


def _rupiah(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal(1), ROUND_HALF_UP)
