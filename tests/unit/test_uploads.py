"""Uploads and day totals over a real socket: what is read, which row is to blame, what replaces what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from ingestion.core.config import load_config
from ingestion.receiver.app import create_app
from ingestion.receiver.server import running
from tests.stand import Stand, company
from tests.tills import staged

API = "/api/v1/integrations"
GENERIC = """\
outlet_id,business_date,time,check_number,sku,product,quantity,price,discount,tax,service_charge,channel,tender,category
JKT-001,2026-04-04,12:30,1,KOPI,Kopi Susu,2,25000,5000,4500,,Dine In,Cash,Coffee
JKT-001,2026-04-04,12:30,1,ROTI,Roti Bakar,1,18000,,1800,,Dine In,Cash,Food
JKT-001,2026-04-04,13:05,2,KOPI,Kopi Susu,1,a lot,,2500,,Dine In,QRIS,Coffee
JKT-001,2026-04-04,13:10,3,,Air Mineral,1,8000,,800,,Dine In,QRIS,Drinks
JKT-001,2026-04-04,13:12,4,TEH,Es Teh,1,9000,,900,,Dine In,QRIS,Drinks
"""
DAY = {
    "outlet_id": "JKT-001",
    "business_date": "2026-04-04",
    "gross_sales": 1000000,
    "discounts": 50000,
    "tax": "95000.00",
    "tenders": {"cash": 545000, "qris": 500000},
}


class Counter:
    """A receiver with a token for everything that people may send."""

    def __init__(self, stand: Stand, url: str) -> None:
        self.stand, self.url = stand, url
        self.platform = stand.platform()
        self.token = self.platform.ops.tokens.create("branch", ["upload", "manual"], "test")

    def post(self, path: str, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        return requests.post(f"{self.url}{API}{path}", headers=headers, timeout=60, **more)

    def upload(self, text: str, mapping: str = "generic-checks", name: str = "april.csv") -> requests.Response:
        return self.post("/upload-csv", data={"mapping": mapping}, files={"file": (name, text.encode(), "text/csv")})

    def day(self, **change: Any) -> requests.Response:
        return self.post("/day-totals", json={**DAY, **change})

    def checks(self) -> list[dict[str, Any]]:
        self.stand.vendors[:] = ["files"]
        return sorted(staged(self.stand, "checks"), key=lambda check: str(check["check_id"]))


@pytest.fixture
def counter(tmp_path: Path) -> Iterator[Counter]:
    small = company(outlets=3, days=1, checks_per_day=8, pos=("toast",))
    with Stand.open(tmp_path, ["toast"], made=small, days=1) as stand, running(create_app(stand.platform())) as url:
        yield Counter(stand, url)


def test_good_rows_load_and_bad_ones_are_named(counter: Counter) -> None:
    """Catches: one bad row that rejects a file, an error without the row or the column, a file that counts twice."""
    answer = counter.upload(GENERIC)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["status"], told["integration_id"]) == ("loaded", "upload-generic-checks")
    errors = {(error["row"], error["field"]) for error in told["errors"]}
    assert errors == {(4, "price"), (5, "sku")}, "rows as a spreadsheet numbers them"
    assert told["rejected_rows"] == 2
    assert [(check["check_number"], check["net_sales"]) for check in counter.checks()] == [
        ("1", Decimal(63000)),
        ("4", Decimal(9000)),
    ]
    assert counter.upload(GENERIC).json()["status"] == "known"
    assert len(counter.checks()) == 2
    (entry,) = [entry for entry in counter.platform.ops.audit_log() if entry["outcome"] == "loaded"]
    assert (entry["who"], entry["action"]) == ("branch", "upload")
    registered = load_config(counter.stand.settings().config).integration("upload-generic-checks")
    assert registered.stands_in
    assert not registered.enabled
    assert list(counter.stand.root.glob("upload-*")) == [], "a file of guests must not stay in the clear"


@pytest.mark.parametrize("mapping", ["moka-export", "pawoon-export"])
def test_shipped_mappings_read_what_they_say(counter: Counter, mapping: str) -> None:
    """Catches: a shipped mapping that names a key wrongly. The files are ours: real exports were not at hand."""
    files = {
        "moka-export": "Outlet,Receipt Number,Date,Time,Category,Items,SKU,Quantity,Gross Sales,Discounts,Gratuity,"
        "Tax,Sales Type,Payment Method\n"
        "JKT-001,A1,04-04-2026,12:30:00,Kopi,Kopi Susu,KS,2,50000,-5000,2250,4725,Dine In,Cash\n",
        "pawoon-export": "Outlet;No Transaksi;Tanggal;Waktu;Produk;SKU;Kategori;Jumlah;Total;Diskon;Servis;Pajak;"
        "Tipe Penjualan;Metode Pembayaran\n"
        "JKT-001;A1;04/04/2026;12:30;Kopi Susu;KS;Kopi;2;50.000;5.000;2.250;4.725;Dine In;Tunai\n".replace(";", ","),
    }
    answer = counter.upload(files[mapping].replace(";", ","), mapping)
    assert answer.json()["errors"] == []
    assert answer.json()["status"] == "loaded", answer.text
    (check,) = counter.checks()
    amounts = (check["gross_sales"], check["net_sales"], check["service_charge"], check["tax"])
    assert amounts == (Decimal(50000), Decimal(45000), Decimal(2250), Decimal(4725))


def test_a_day_by_hand_is_a_check_and_its_correction_replaces_it(counter: Counter) -> None:
    """Catches: a corrected entry that doubles the day, amounts that lose digits on the way."""
    answer = counter.day()
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "loaded"
    (check,) = counter.checks()
    assert check["source_outlet_id"] == "JKT-001"
    assert str(check["source_business_date"]) == "2026-04-04"
    amounts = {name: check[name] for name in ("gross_sales", "discounts", "net_sales", "tax", "bill_total")}
    assert amounts == {
        "gross_sales": Decimal(1000000),
        "discounts": Decimal(50000),
        "net_sales": Decimal(950000),
        "tax": Decimal(95000),
        "bill_total": Decimal(1045000),
    }
    paid = {row["source_tender"]: row["amount"] for row in staged(counter.stand, "check_payments") if row["amount"]}
    assert paid == {"Cash": Decimal(545000), "QRIS": Decimal(500000)}
    assert counter.day(gross_sales=1100000, tenders={"cash": 645000, "qris": 500000}).json()["status"] == "loaded"
    assert [check["gross_sales"] for check in counter.checks()] == [Decimal(1100000)]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"tenders": {"cash": 1}}, "tenders"),
        ({"tenders": {"barter": 1045000}}, "tenders"),
        ({"outlet_id": "MARS"}, "outlet_id"),
        ({"business_date": "yesterday"}, "business_date"),
        ({"gross_sales": "NaN"}, "gross_sales"),
        ({"gross_sales": -1}, "gross_sales"),
        ({"gross_sale": 1}, "gross_sale"),
    ],
)
def test_a_day_that_cannot_be_is_refused(counter: Counter, change: dict[str, Any], field: str) -> None:
    """Catches: totals that do not add up in the marts, a typing error that is taken as zero."""
    answer = counter.day(**change)
    assert (answer.status_code, answer.json()["field"]) == (400, field), answer.text


def test_who_may_send_what(counter: Counter) -> None:
    """Catches: an upload without a token, a path in a file's name, a mapping outside its folder."""
    assert requests.post(f"{counter.url}{API}/day-totals", json=DAY, timeout=10).status_code == 401
    stats_only = counter.platform.ops.tokens.create("x", ["stats"], "test")
    assert counter.post("/upload-csv", headers={"Authorization": f"Bearer {stats_only}"}).status_code == 401
    assert counter.upload(GENERIC, "../company").status_code == 404
    assert counter.upload(GENERIC, "nothing").status_code == 404
    assert counter.upload(GENERIC, name="../../evil.csv").status_code in (200, 400)
    assert not (counter.stand.root.parent / "evil.csv").exists()
    assert counter.post("/upload-csv", data={"mapping": "generic-checks"}).status_code == 415
    assert counter.post("/upload-csv", files={"file": ("a.csv", b"a")}).json()["field"] == "mapping"
    assert counter.post("/day-totals", data=json.dumps(DAY)).status_code == 415
    broken = counter.upload("no,such,columns\n1,2,3\n")
    assert broken.status_code == 422
    assert broken.json()["errors"]
