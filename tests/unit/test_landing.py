"""The landing zone: bytes come back as they came, a batch is whole or not there, and damage is never read as data."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.core.landing import LENGTHS, MAGIC, LandingError, LandingZone
from ingestion.core.ops.crypto import Keyring
from ingestion.core.settings import PROJECT_ROOT
from tests import buckets

AS_OF = datetime(2026, 4, 5, 22, tzinfo=UTC)
KEYS = Keyring((b"k" * 32,))
PAGES = [(b'{"rows":[1,2]}', "o1"), (b"", "o2"), (b"\xff\x00" * 40, "o1")]


def zone_at(url: str | Path, keys: Keyring = KEYS, scratch: Path | None = None) -> LandingZone:
    return LandingZone(str(url), keys.cipher("landing"), scratch)


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    with buckets.server() as access:
        yield access


@pytest.fixture
def bucket(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket of a server that the environment names as AWS's own tools have it."""
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    return buckets.bucket(s3)


@pytest.fixture(params=["folder", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The test runs on both kinds of landing zone."""
    if request.param == "folder":
        return str(tmp_path / "landing")
    return f"s3://{request.getfixturevalue('bucket')}/group/landing"


@pytest.fixture
def zone(url: str, tmp_path: Path) -> LandingZone:
    return zone_at(url, scratch=tmp_path / "scratch")


@pytest.fixture
def memory_url() -> Iterator[str]:
    yield "memory://bucket/landing"
    fsspec.filesystem("memory").store.clear()


def write(zone: LandingZone, run_id: int = 1, stream: str = "checks", pages: list[tuple[bytes, str]] = PAGES) -> str:
    with zone.batch("moka", "moka-1", stream, AS_OF, run_id) as batch:
        for content, scope in pages:
            batch.add(content, scope, {"outlet": scope})
    return batch.name


def write_elsewhere(url: str, scratch: Path, run_id: int, then: str) -> int:
    """Write a page in another process, do what `then` says before the batch ends, and return how it ended."""
    script = f"""
        import os
        from datetime import datetime
        from ingestion.core.landing import LandingZone
        from ingestion.core.ops.crypto import Keyring
        zone = LandingZone({url!r}, Keyring(({KEYS.keys[0]!r},)).cipher("landing"), {str(scratch)!r})
        with zone.batch("moka", "moka-1", "checks", datetime.fromisoformat({AS_OF.isoformat()!r}), {run_id}) as batch:
            batch.add(b"[1]" * 100_000, "", {{}})
            {then}
    """
    return subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=PROJECT_ROOT, check=False).returncode


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


# Round trip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.binary(max_size=3000), st.text(max_size=10), st.dictionaries(st.text(max_size=5), st.text())),
        min_size=1,
        max_size=5,
    )
)
def test_pages_come_back_byte_for_byte(memory_url: str, pages: list[tuple[bytes, str, dict[str, str]]]) -> None:
    """Catches: any page that is changed by compression, encryption or framing."""
    zone = zone_at(memory_url)
    fsspec.filesystem("memory").store.clear()
    with zone.batch("moka", "moka-1", "checks", AS_OF, 1) as batch:
        references = [batch.add(content, scope, constants) for content, scope, constants in pages]
    read = list(zone.pages(batch.name))
    assert [(page.content, page.meta.scope, page.meta.constants) for page in read] == pages
    assert [page.reference for page in read] == references


def test_a_batch_is_found_and_read_in_any_store(zone: LandingZone) -> None:
    """Catches: paths that only fit the local disk."""
    name = write(zone)
    assert name == "moka/moka-1/checks/2026/04/05/1.pages"
    assert zone.batches("moka", "moka-1") == [name]
    assert [page.content for page in zone.pages(name)] == [content for content, _ in PAGES]


def test_a_reference_finds_its_page(zone: LandingZone) -> None:
    name = write(zone)
    found = zone.page(f"{name}#3")
    assert (found.content, found.meta.scope, found.meta.constants) == (PAGES[2][0], "o1", {"outlet": "o1"})
    with pytest.raises(LandingError, match="#4 is not in the landing zone"):
        zone.page(f"{name}#4")


def test_batches_come_in_the_order_of_their_runs(zone: LandingZone) -> None:
    """Catches: run 10 replayed before run 9, so that an old version of a record wins."""
    written = [write(zone, run_id, stream) for run_id, stream in [(10, "checks"), (9, "items"), (100, "checks")]]
    assert zone.batches("moka", "moka-1") == [written[1], written[0], written[2]]
    assert zone.batches("moka", "moka-1", "items") == [written[1]]
    assert zone.batches("moka", "moka-2") == []


def test_what_lies_at_rest_cannot_be_read_without_the_key(zone: LandingZone, url: str) -> None:
    """Catches: personal data at rest in clear."""
    name = write(zone, pages=[(b'{"name":"Siti Rahayu"}' * 50, "o1")])
    with fsspec.open(f"{url}/{name}", "rb") as handle:
        assert b"Siti" not in handle.read()
    with pytest.raises(LandingError, match="another key"):
        list(zone_at(url, Keyring((b"x" * 32,))).pages(name))


def test_pages_sealed_before_a_key_rotation_stay_readable(zone: LandingZone, url: str) -> None:
    name = write(zone)
    rotated = Keyring((b"n" * 32, b"k" * 32))
    assert len(list(zone_at(url, rotated).pages(name))) == len(PAGES)


# Whole or not there


def test_nothing_is_visible_of_a_batch_that_failed(zone: LandingZone, tmp_path: Path) -> None:
    """Catches: half a batch that a replay would take for a whole one."""

    def fail() -> None:
        with zone.batch("moka", "moka-1", "checks", AS_OF, 1) as batch:
            batch.add(b"[1]", "", {})
            assert zone.batches("moka", "moka-1") == []
            raise RuntimeError("the vendor went away")

    with pytest.raises(RuntimeError, match="the vendor went away"):
        fail()
    assert zone.batches("moka", "moka-1") == []
    assert files_of(tmp_path) == []


def test_nothing_is_visible_of_a_batch_whose_process_was_killed(zone: LandingZone, url: str, tmp_path: Path) -> None:
    """Catches: a batch that takes its final name before it is whole."""
    assert write_elsewhere(url, tmp_path / "scratch", run_id=1, then="os._exit(9)") == 9
    assert zone.batches("moka", "moka-1") == []
    name = write(zone)
    assert zone.batches("moka", "moka-1") == [name]


def test_an_empty_batch_leaves_no_file(zone: LandingZone, tmp_path: Path) -> None:
    with zone.batch("moka", "moka-1", "checks", AS_OF, 1):
        pass
    assert files_of(tmp_path) == []


def test_a_batch_is_never_replaced(zone: LandingZone) -> None:
    """Catches: run numbers that start again (a lost ops database) and write over what was landed."""
    name = write(zone)
    with pytest.raises(LandingError, match="is there already"):
        write(zone, pages=[(b"other", "")])
    assert [page.content for page in zone.pages(name)] == [content for content, _ in PAGES]


# S3


def test_of_two_writers_of_one_name_one_is_told(s3: dict[str, str], bucket: str, tmp_path: Path) -> None:
    """Catches: two machines between whose look and PUT the other one's batch appears, and one batch is lost."""
    zone = zone_at(f"s3://{bucket}/landing", scratch=tmp_path)
    put, client = zone._fs.put_file, buckets.client(s3)

    def put_late(temp: str, target: str, **options: object) -> None:
        client.put_object(Bucket=bucket, Key=target.removeprefix(f"{bucket}/"), Body=b"the other one's")
        put(temp, target, **options)

    zone._fs.put_file = put_late
    try:
        with pytest.raises(LandingError, match="is there already"):
            write(zone)
    finally:
        del zone._fs.put_file
    (item,) = client.list_objects_v2(Bucket=bucket)["Contents"]
    assert client.get_object(Bucket=bucket, Key=item["Key"])["Body"].read() == b"the other one's"


def test_a_put_whose_answer_was_lost_counts_as_done(bucket: str, tmp_path: Path) -> None:
    """Catches: a load that fails because the store refused to do again what it had done."""
    zone = zone_at(f"s3://{bucket}/landing", scratch=tmp_path)
    put = zone._fs.put_file

    def put_twice(*arguments: object, **options: object) -> None:
        put(*arguments, **options)
        put(*arguments, **options)

    zone._fs.put_file = put_twice
    try:
        name = write(zone)
    finally:
        del zone._fs.put_file
    assert [page.content for page in zone.pages(name)] == [content for content, _ in PAGES]


def test_an_upload_that_was_begun_is_not_seen(s3: dict[str, str], bucket: str) -> None:
    """Catches: parts of a large batch whose writer died, listed or read as a batch."""
    name = "moka/moka-1/checks/2026/04/05/1.pages"
    client, target = buckets.client(s3), {"Bucket": bucket, "Key": f"landing/{name}"}
    upload = client.create_multipart_upload(**target)["UploadId"]
    client.upload_part(**target, UploadId=upload, PartNumber=1, Body=MAGIC)
    zone = zone_at(f"s3://{bucket}/landing")
    assert zone.batches("moka", "moka-1") == []
    with pytest.raises(FileNotFoundError):
        list(zone.pages(name))


def test_a_batch_of_another_machine_is_seen_at_once(bucket: str, tmp_path: Path) -> None:
    """Catches: a listing that was kept from before."""
    zone, other = (zone_at(f"s3://{bucket}/landing", scratch=tmp_path) for _ in range(2))
    first = write(zone)
    assert zone.batches("moka", "moka-1") == [first]
    assert write_elsewhere(f"s3://{bucket}/landing", tmp_path, run_id=2, then="pass") == 0
    assert other.batches("moka", "moka-1") == zone.batches("moka", "moka-1") == [first, first.replace("1.p", "2.p")]


# Damage


@pytest.fixture
def damaged(tmp_path: Path) -> tuple[LandingZone, str, Path]:
    zone = zone_at(tmp_path / "landing")
    name = write(zone)
    return zone, name, tmp_path / "landing" / name


def test_a_batch_cut_anywhere_is_told(damaged: tuple[LandingZone, str, Path]) -> None:
    """Catches: missing pages that look like the end of the batch, also when the cut falls between two pages."""
    zone, name, path = damaged
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(LandingError):
            list(zone.pages(name))


def test_a_batch_altered_anywhere_is_told(damaged: tuple[LandingZone, str, Path]) -> None:
    """Catches: a changed amount, a page ascribed to another outlet, garbage read as a page."""
    zone, name, path = damaged
    whole = path.read_bytes()
    for position in range(len(whole)):
        altered = bytearray(whole)
        altered[position] ^= 1
        path.write_bytes(altered)
        with pytest.raises(LandingError):
            list(zone.pages(name))
    path.write_bytes(whole + b"x")
    with pytest.raises(LandingError, match="goes on"):
        list(zone.pages(name))


def frames(content: bytes) -> list[bytes]:
    found, at = [], len(MAGIC)
    while at < len(content):
        size = LENGTHS.size + sum(LENGTHS.unpack_from(content, at))
        found.append(content[at : at + size])
        at += size
    return found


def test_pages_that_were_moved_or_taken_out_are_told(damaged: tuple[LandingZone, str, Path]) -> None:
    """Catches: a batch rearranged frame by frame, each of which is genuine."""
    zone, name, path = damaged
    first, second, third, end = frames(path.read_bytes())
    other = write(zone, run_id=2)
    foreign = frames((path.parent / "2.pages").read_bytes())
    for kept in (
        [second, first, third, end],
        [first, third, end],
        [first, second, end],
        [first, second, third, third, end],
        [foreign[0], second, third, end],
        [first, second, third, foreign[3]],
        [end],
    ):
        path.write_bytes(MAGIC + b"".join(kept))
        with pytest.raises(LandingError):
            list(zone.pages(name))
    assert len(list(zone.pages(other))) == len(PAGES)


def test_a_file_that_is_no_batch_is_told(tmp_path: Path) -> None:
    zone = zone_at(tmp_path / "landing")
    name = "moka/moka-1/checks/2026/04/05/1.pages"
    path = tmp_path / "landing" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"rows":[]}')
    with pytest.raises(LandingError, match="not a landing batch"):
        list(zone.pages(name))
