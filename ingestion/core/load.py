"""One integration's sync: pages in, merged raw tables out, the cursor committed with the rows.

Extraction and normalising run without the warehouse (several integrations at once if the machine allows); only the
state sync and the load hold the write lock. Pages are landed before they are decoded, so whatever reached us can be
replayed without the vendor. Tables are yielded to dlt as Arrow in bounded chunks: memory does not grow with size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import dlt
import pyarrow as pa
from dlt.extract import DltResource

from ingestion.core import progress
from ingestion.core.errors import ApiError
from ingestion.core.failpoints import failpoint
from ingestion.core.fetch import Event, Page, ScopeDone, ScopeFailed
from ingestion.core.landing import Batch
from ingestion.core.records import Hasher, PageDecoder, Reject, raw_schema
from ingestion.core.settings import Settings
from ingestion.core.spec import Connector, Stream, Table
from ingestion.core.warehouse import destination, write_lock

CHUNK_ROWS = 100_000
SEQ_PER_RUN = 10**10
SEQ_PER_PAGE = 10**5
DRIFT_PAGES = 3  # pages of a stream and run whose first record is held against its wire type

Events = Callable[[Stream, Mapping[str, str]], Iterator[Event]]


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


def pipeline_name(integration_id: str) -> str:
    return "c4_" + re.sub(r"[^a-z0-9]+", "_", integration_id.lower())


class Loader:
    """Loads the pages of one integration. A fresh dlt pipeline and source for each run (dlt mutates both)."""

    def __init__(self, settings: Settings, connector: Connector, integration_id: str, hasher: Hasher) -> None:
        self.settings = settings
        self.connector = connector
        self.integration_id = integration_id
        self.hasher = hasher
        self.pipeline = dlt.pipeline(
            pipeline_name=pipeline_name(integration_id),
            destination=destination(settings),
            dataset_name=connector.dataset,
            pipelines_dir=str(settings.data / "dlt"),
        )

    def prepare(self) -> None:
        """Finish what a killed run left behind and take over the state that was committed with the rows."""
        with write_lock(self.settings):
            if self.pipeline.has_pending_data:
                if self.pipeline.list_extracted_load_packages():
                    self.pipeline.normalize()
                self.pipeline.load()
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
    ) -> list[StreamResult]:
        """Extract, normalise and load. `until` moves the cursors of the scopes that were read to their end; a
        replay passes None and moves none. `watch_keys` (stream -> record keys) asks which of those keys loaded.
        Raises what dlt raises when the warehouse refuses; nothing is then committed, and the next run repeats it.
        """
        results = []
        resources = []
        for number, stream in enumerate(streams):
            result = StreamResult(stream.name)
            results.append(result)
            resources.append(
                self._resource(
                    stream,
                    events,
                    batch_for,
                    result,
                    first_seq=run_id * SEQ_PER_RUN + number * (SEQ_PER_RUN // 100),
                    until=until,
                    watch=(watch_keys or {}).get(stream.name, set()),
                )
            )

        @dlt.source(name=pipeline_name(self.integration_id), max_table_nesting=0)
        def source() -> list[DltResource]:
            return resources

        self.pipeline.extract(source(), loader_file_format="parquet")
        self.pipeline.normalize()
        failpoint("load.extracted")
        with write_lock(self.settings):
            self.pipeline.load()
        failpoint("load.loaded")
        return results

    def _resource(
        self,
        stream: Stream,
        events: Events,
        batch_for: Callable[[Stream], Batch] | None,
        result: StreamResult,
        *,
        first_seq: int,
        until: datetime | None,
        watch: set[str],
    ) -> DltResource:
        decoder = PageDecoder(stream, self.integration_id, self.hasher)
        root_key = stream.root.key

        def handle(event: Page, reference: str, chunk: _Chunk) -> None:
            seq = first_seq + result.pages * SEQ_PER_PAGE
            result.pages += 1
            result.bytes += len(event.content)
            if event.kind == "file":
                return
            decoded = decoder.decode(
                event.content, seq=seq, scope=event.scope, landing=reference, constants=event.constants
            )
            result.rejects += [(reject, reference) for reject in decoded.rejects]
            if result.pages <= DRIFT_PAGES:
                result.drift |= decoded.drift
            for name, table in decoded.tables.items():
                result.rows[name] = result.rows.get(name, 0) + table.num_rows
            if watch:
                keys = _keys(decoded.tables[stream.root.name], root_key)
                result.loaded_keys = (result.loaded_keys or set()) | (watch & keys)
            chunk.add(decoded.tables)

        def generate() -> Iterator[Any]:
            cursors: dict[str, str] = dlt.current.resource_state().setdefault("complete_until", {})
            chunk = _Chunk()
            batch = batch_for(stream) if batch_for else None
            with batch or _nowhere() as landing:
                for event in events(stream, dict(cursors)):
                    if isinstance(event, Page):
                        reference = event.reference
                        if landing is not None:
                            reference = landing.add(event.content, event.scope, event.constants, event.kind)
                        handle(event, reference, chunk)
                        progress.advance(self.integration_id, stream.name, pages=1)
                        if chunk.rows >= CHUNK_ROWS:
                            yield from self._marked(stream, chunk.take())
                    elif isinstance(event, Reject):
                        result.rejects.append((event, landing.name if landing is not None else ""))
                    elif isinstance(event, ScopeDone):
                        result.done.add(event.scope)
                    elif isinstance(event, ScopeFailed):
                        result.failed[event.scope] = event.error
            if batch is not None and batch.pages:
                result.batch = batch.name
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
        """Roots merge on their key, the newest version winning. Children merge on their root: what a new delivery
        of the root no longer has is gone. A `replace` stream merges on its whole scope.
        """
        keys: dict[str, Any] = {}
        if table is stream.root:
            keys["primary_key"] = ["integration_id", *table.key]
            keys["columns"] = {"c4_version": {"name": "c4_version", "dedup_sort": "desc"}}
        if stream.write == "replace":
            keys["merge_key"] = ["integration_id", "c4_scope"]
        elif table is not stream.root:
            keys["merge_key"] = ["integration_id", *(f"root_{name}" for name in stream.root.key)]
        return dlt.mark.make_hints(
            table_name=table.name,
            write_disposition={"disposition": "merge", "strategy": "delete-insert"},
            **keys,
        )


class _nowhere:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def _keys(table: pa.Table, key: tuple[str, ...]) -> set[str]:
    columns = [table.column(name).to_pylist() for name in key]
    return {"/".join(str(value) for value in row) for row in zip(*columns, strict=True)}


__all__ = ["Loader", "StreamResult", "pipeline_name", "raw_schema"]
