"""One integration's sync: pages in, merged raw tables out, the cursor committed with the rows.

Extraction and normalising run without the warehouse (several integrations at once if the machine allows); only the
state sync and the load hold the write lock. Pages are landed before they are decoded, so whatever reached us can be
replayed without the vendor. Tables are yielded to dlt as Arrow in bounded chunks: memory does not grow with size.
Only a `replace` stream is held in memory, scope by scope: its rows count when its scope was read to the end.
"""

from __future__ import annotations

import logging
import re
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import dlt
import numpy as np
import pyarrow as pa
from dlt.extract import DltResource
from dlt.pipeline.exceptions import PipelineStepFailed

from ingestion.core import dlt_settings, progress, warehouse
from ingestion.core.errors import ApiError
from ingestion.core.failpoints import failpoint
from ingestion.core.fetch import Event, Page, ScopeDone, ScopeFailed
from ingestion.core.landing import Batch
from ingestion.core.records import CONTENT, Hasher, PageDecoder, Reject, raw_schema
from ingestion.core.settings import Settings
from ingestion.core.spec import Connector, Stream, Table
from ingestion.core.unfinished import begin_anew
from ingestion.core.warehouse import destination, write_lock
from ingestion.core.warehouse.records import ROOT

CHUNK_ROWS = 100_000
SEQ_PER_RUN = 10**10
SEQ_PER_STREAM = SEQ_PER_RUN // 100
VERSION = "c4_version"  # SQL that orders two deliveries of a record: the vendor's own stamp, and the landed page
LANDED = (
    "cast(split_part(split_part(c4_landing, '/', 7), '.', 1) as bigint) * 1000000000"
    " + cast(split_part(c4_landing, '#', 2) as bigint)"
)
DRIFT_PAGES = 3  # pages of a stream and run whose first record is held against its wire type

log = logging.getLogger(__name__)

Events = Callable[[Stream, Mapping[str, str]], Iterator[Event]]

dlt_settings.fix()


@dataclass(slots=True)
class StreamResult:
    """What one stream of one run came to."""

    stream: str
    rows: dict[str, int] = field(default_factory=dict)
    pages: int = 0
    bytes: int = 0
    batch: str = ""
    done: set[str] = field(default_factory=set)
    failed: dict[str, ApiError] = field(default_factory=dict)
    rejects: list[tuple[Reject, str]] = field(default_factory=list)  # with the landing reference
    drift: set[str] = field(default_factory=set)
    new_drift: set[str] = field(default_factory=set)  # drift that no earlier run had seen
    loaded_keys: set[str] | None = None
    first_seq: int = 0
    unchanged: int = 0  # records that came as the warehouse has them
    replaced: set[str] = field(default_factory=set)  # scopes of a `replace` stream: what was there before is to go

    @property
    def read(self) -> set[str]:
        """Scopes read to the end. One with a page that could not be read at all is not: its cursor must not move."""
        return self.done - {reject.scope for reject, _ in self.rejects if reject.kind == "page"}

    @property
    def status(self) -> str:
        if self.failed:
            return "partial" if self.done else "failed"
        return "ok"

    @property
    def error(self) -> str:
        return "; ".join(sorted({str(error) for error in self.failed.values()}))[:500]


@dataclass(slots=True)
class _Chunk:
    """Arrow tables gathered until they are worth a file."""

    tables: dict[str, list[pa.Table]] = field(default_factory=dict)
    rows: int = 0

    def add(self, tables: Mapping[str, pa.Table]) -> None:
        for name, table in tables.items():
            if table.num_rows:
                self.tables.setdefault(name, []).append(table)
                self.rows += table.num_rows

    def take(self) -> dict[str, pa.Table]:
        taken = {name: pa.concat_tables(parts) for name, parts in self.tables.items()}
        self.tables, self.rows = {}, 0
        return taken


class Lane(StrEnum):
    """Loads of one account that may be under way at the same time; each has a dlt pipeline of its own.

    A backfill comes after its time: it leaves out records of which the warehouse has a delivery that was landed later.
    """

    PULL = ""
    LIVE = "live_"
    BACKFILL = "backfill_"


def pipeline_name(integration_id: str, lane: Lane = Lane.PULL) -> str:
    return f"c4_{lane}" + re.sub(r"[^a-z0-9]+", "_", integration_id.lower())


class Loader:
    """Loads the pages of one integration. A fresh dlt pipeline and source for each run (dlt mutates both)."""

    def __init__(
        self,
        settings: Settings,
        connector: Connector,
        integration_id: str,
        hasher: Hasher,
        *,
        lane: Lane = Lane.PULL,
    ) -> None:
        self.settings = settings
        self.connector = connector
        self.integration_id = integration_id
        self.hasher = hasher
        self.lane = lane
        self.pipeline = dlt.pipeline(
            pipeline_name=pipeline_name(integration_id, lane),
            destination=destination(settings),
            dataset_name=connector.dataset,
            pipelines_dir=str(settings.data / "dlt"),
        )

    def prepare(self) -> None:
        """Finish what a killed run left behind and take over the state that was committed with the rows.

        What cannot be finished is given up: its cursors are not in the warehouse, so this run reads it again. Where
        there are several machines it is always given up: another one may have loaded newer deliveries since.
        """
        with write_lock(self.settings, self.connector.dataset):
            if self.pipeline.has_pending_data and self.settings.several_machines:
                self.pipeline = self.pipeline.drop()
            elif self.pipeline.has_pending_data:
                try:
                    if self.pipeline.list_extracted_load_packages():
                        self.pipeline.normalize()
                    begin_anew(self.settings, self.pipeline, self.connector, self.integration_id)
                    self.pipeline.load()
                except (PipelineStepFailed, pa.ArrowException, OSError) as error:  # what is left may be half a file
                    log.warning("%s: gave up an unfinished load (%s)", self.integration_id, type(error).__name__)
                    self.pipeline = self.pipeline.drop()
            self.pipeline.sync_destination()

    def run(
        self,
        streams: Iterable[Stream],
        events: Events,
        batch_for: Callable[[Stream], Batch] | None,
        *,
        run_id: int,
        until: datetime | None,
        watch_keys: Mapping[str, set[str]] | None = None,
        whole: bool = True,
        known_runs: Collection[int] = (),
    ) -> list[StreamResult]:
        """Extract, normalise and load. `until` moves the cursors of the scopes that were read to their end; a
        replay passes None and moves none. `watch_keys` (stream -> record keys) asks which of those keys loaded.
        `whole` is False when the pages are a selection: a `replace` stream is then merged record by record. Records of
        windows that came in one of `known_runs`, which must have ended, and come again as they are now are left out.
        Raises what dlt raises when the warehouse refuses; nothing is then committed, and the next run repeats it.
        """
        results = []
        resources = []
        streams = list(streams)
        known = self._known(streams, known_runs) if known_runs else {}
        for number, stream in enumerate(streams):
            result = StreamResult(stream.name, first_seq=run_id * SEQ_PER_RUN + number * SEQ_PER_STREAM)
            results.append(result)
            resources.append(
                self._resource(
                    stream,
                    events,
                    batch_for,
                    result,
                    until=until,
                    watch=(watch_keys or {}).get(stream.name, set()),
                    by_scope=whole and stream.write == "replace",
                    known=known.get(stream.name),
                )
            )

        @dlt.source(name=self.pipeline.pipeline_name, max_table_nesting=0)
        def source() -> list[DltResource]:
            return resources

        self.pipeline.extract(source(), loader_file_format="parquet")
        self.pipeline.normalize()
        failpoint("load.extracted")
        with write_lock(self.settings, self.connector.dataset):
            self.pipeline.load()
            self._analyze(results)
            self._delete_replaced(results)
            self._delete_superseded(results)
        failpoint("load.loaded")
        return results

    def _known(self, streams: Sequence[Stream], runs: Collection[int]) -> dict[str, np.ndarray]:
        """What the warehouse holds of some runs' deliveries: stream -> the contents of its records, sorted."""
        found = {}
        with warehouse.connect(self.settings) as connection:
            present = set(
                connection.execute(
                    "select table_name from information_schema.columns where table_schema = ? and column_name = ?",
                    [self.connector.dataset, CONTENT],
                ).fetchall()
            )
            for stream in streams:
                if (stream.root.name,) not in present or not stream.is_windowed or stream.write != "merge":
                    continue
                contents = array("q")
                for run in runs:
                    answer = connection.execute(
                        f'select {CONTENT} from {self.connector.dataset}."{stream.root.name}" '  # noqa: S608
                        f"where integration_id = ? and c4_seq between ? and ? and {CONTENT} is not null",
                        [self.integration_id, run * SEQ_PER_RUN, (run + 1) * SEQ_PER_RUN - 1],
                    )
                    while rows := answer.fetchmany(CHUNK_ROWS):
                        contents.extend(row[0] for row in rows)
                found[stream.name] = np.sort(np.array(contents, np.int64))
        return found

    def _resource(
        self,
        stream: Stream,
        events: Events,
        batch_for: Callable[[Stream], Batch] | None,
        result: StreamResult,
        *,
        until: datetime | None,
        watch: set[str],
        by_scope: bool,
        known: np.ndarray | None,
    ) -> DltResource:
        decoder = PageDecoder(stream, self.integration_id, self.hasher)
        next_seq = result.first_seq
        chunk = _Chunk()
        reading: dict[str, list[dict[str, pa.Table]]] = {}  # of a replace stream: scopes under way
        read: dict[str, list[dict[str, pa.Table]]] = {}  # and scopes read to the end, the last reading of each
        spoiled: set[str] = set()  # scopes under way of which something could not be read

        def decode(event: Page, reference: str) -> dict[str, pa.Table]:
            nonlocal next_seq
            result.pages += 1
            result.bytes += len(event.content)
            if event.kind == "file":
                return {}
            decoded = decoder.decode(
                event.content,
                seq=next_seq,
                scope=event.scope,
                landing=reference,
                constants=event.constants,
                watch_drift=result.pages <= DRIFT_PAGES,
                rows=event.rows,
                is_record=event.kind == "record",
                known=known,
            )
            next_seq += decoded.read
            result.unchanged += decoded.unchanged
            result.rejects += [(reject, reference) for reject in decoded.rejects]
            result.drift |= decoded.drift
            if any(reject.kind == "page" for reject in decoded.rejects) or (decoded.rejects and not decoded.rows):
                spoiled.add(event.scope)
            return decoded.tables

        def take(tables: Mapping[str, pa.Table]) -> Iterator[Any]:
            for name, table in tables.items():
                result.rows[name] = result.rows.get(name, 0) + table.num_rows
            if watch and tables:
                keys = record_keys(tables[stream.root.name], stream.root.key)
                result.loaded_keys = (result.loaded_keys or set()) | (watch & keys)
            chunk.add(tables)
            if chunk.rows >= CHUNK_ROWS:
                yield from self._marked(stream, chunk.take())

        def end(scope: str) -> None:
            result.done.add(scope)
            tables = reading.pop(scope, [])
            if by_scope and scope not in spoiled:
                read[scope] = tables
            spoiled.discard(scope)

        def generate() -> Iterator[Any]:
            cursors: dict[str, str] = dlt.current.resource_state().setdefault("complete_until", {})
            batch = batch_for(stream) if batch_for else None
            with batch or _nowhere() as landing:
                for event in events(stream, dict(cursors)):
                    if isinstance(event, Page):
                        reference = event.reference
                        if landing is not None:
                            reference = landing.add(
                                event.content, event.scope, event.constants, event.kind, event.covers
                            )
                        tables = decode(event, reference)
                        progress.advance(self.integration_id, stream.name, pages=1)
                        if by_scope:
                            reading.setdefault(event.scope, []).append(tables)
                        else:
                            yield from take(tables)
                    elif isinstance(event, Reject):
                        result.rejects.append((event, landing.name if landing is not None else ""))
                    elif isinstance(event, ScopeDone):
                        end(event.scope)
                        if by_scope and landing is not None:
                            landing.add(b"", event.scope, {}, "done")
                    elif isinstance(event, ScopeFailed):
                        result.failed[event.scope] = event.error
            if batch is not None and batch.pages:
                result.batch = batch.name
            for pages in read.values():
                for tables in pages:
                    yield from take(tables)
            result.replaced = set(read)
            yield from self._marked(stream, chunk.take())
            if until is not None:
                for scope in result.read:
                    cursors[scope] = until.isoformat()

        return dlt.resource(generate, name=stream.name, write_disposition="append")

    def _marked(self, stream: Stream, tables: Mapping[str, pa.Table]) -> Iterator[Any]:
        for table in stream.tables:
            arrow = tables.get(table.name)
            if arrow is not None:
                yield dlt.mark.with_hints(arrow, self._hints(stream, table), create_table_variant=True)

    def _hints(self, stream: Stream, table: Table) -> Any:
        """Roots merge on their key, the newest version winning. What hangs on them is appended, and counts while its
        root has the same delivery.
        """
        if table is not stream.root:
            return dlt.mark.make_hints(
                table_name=table.name,
                write_disposition="append",
                additional_table_hints={ROOT: stream.root.name},
            )
        disposition: Any = {"disposition": "merge", "strategy": "delete-insert"}
        orders = [VERSION] if table.version else []
        if self.lane is Lane.BACKFILL:
            orders.append(LANDED)
        if orders and stream.write == "merge":
            disposition["source_filter"] = " and ".join(self._not_outdated(table, order) for order in orders)
        return dlt.mark.make_hints(table_name=table.name, write_disposition=disposition, primary_key=merged_by(table))

    def _not_outdated(self, root: Table, order: str) -> str:
        """SQL that leaves out deliveries of records that the warehouse has from later on by `order`."""
        dataset, names = self.connector.dataset, merged_by(root)
        key = ", ".join(f'"{name}"' for name in names)
        staged = f'(select {key}, max({order}) as latest from {dataset}_staging."{root.name}" group by {key})'  # noqa: S608
        same = " and ".join(f'present."{name}" = staged."{name}"' for name in names)
        present = f'(select {key}, {order} as latest from {dataset}."{root.name}")'  # noqa: S608
        newer = f"{present} as present join {staged} as staged on {same}"
        outdated = ", ".join(f'staged."{name}"' for name in names)
        return f"({key}) not in (select {outdated} from {newer} and present.latest > staged.latest)"  # noqa: S608

    def _delete_replaced(self, results: Iterable[StreamResult]) -> None:
        """Delete what a `replace` stream's scope held before it was read to the end again. A process that dies before
        it comes here leaves rows too many, until the next reading.
        """
        replaced = [(self.connector.stream(result.stream), result) for result in results if result.replaced]
        if not replaced:
            return
        with warehouse.connect(self.settings, read_only=False) as connection:
            found = connection.execute(
                "select table_name from information_schema.tables where table_schema = ?", [self.connector.dataset]
            ).fetchall()
            for stream, result in replaced:
                for table in stream.tables:
                    if (table.name,) in found:
                        marks = ", ".join("?" for _ in result.replaced)
                        connection.execute(
                            f'delete from {self.connector.dataset}."{table.name}" '  # noqa: S608
                            f"where integration_id = ? and c4_seq < ? and c4_scope in ({marks})",
                            [self.integration_id, result.first_seq, *sorted(result.replaced)],
                        )

    def _delete_superseded(self, results: Iterable[StreamResult]) -> None:
        """Delete what hangs on deliveries of this run that did not stay: the record came again, or was there already
        from later on.
        """
        loaded = [
            (stream, result)
            for result in results
            for stream in [self.connector.stream(result.stream)]
            if any(result.rows.get(table.name) for table in stream.tables[1:])
        ]
        if not loaded:
            return
        with warehouse.connect(self.settings, read_only=False) as connection:
            for stream, result in loaded:
                root = f'{self.connector.dataset}."{stream.root.name}"'
                deliveries = [self.integration_id, result.first_seq, result.first_seq + SEQ_PER_STREAM - 1]
                of_run = "integration_id = ? and c4_seq between ? and ?"
                stayed = connection.execute(f"select count(*) from {root} where {of_run}", deliveries).fetchone()  # noqa: S608
                if stayed == (result.rows[stream.root.name],):
                    continue
                for table in stream.tables[1:]:
                    if result.rows.get(table.name):
                        connection.execute(
                            f'delete from {self.connector.dataset}."{table.name}" where {of_run} '  # noqa: S608
                            f"and c4_seq not in (select c4_seq from {root} where {of_run})",
                            deliveries * 2,
                        )

    def _analyze(self, results: Iterable[StreamResult]) -> None:
        loaded = {
            table: key
            for result in results
            for table, key in looked_up_by(self.connector.stream(result.stream)).items()
            if result.rows.get(table)
        }
        warehouse.analyze(self.settings, self.connector.dataset, loaded)


class _nowhere:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def merged_by(root: Table) -> list[str]:
    """The columns whose values a delivery of a root replaces."""
    return ["integration_id", *root.key]


def looked_up_by(stream: Stream) -> dict[str, list[str]]:
    """A stream's tables, and by which columns a load looks rows up in them, other than by their delivery."""
    return {table.name: merged_by(table) if table is stream.root else [] for table in stream.tables}


def record_keys(table: pa.Table, key: tuple[str, ...]) -> set[str]:
    """The keys of a root table's rows, as rejects name them."""
    columns = [table.column(name).to_pylist() for name in key]
    return {"/".join(str(value) for value in row) for row in zip(*columns, strict=True)}


__all__ = ["Lane", "Loader", "StreamResult", "looked_up_by", "pipeline_name", "raw_schema", "record_keys"]
