"""Steps that a person or a weekly schedule starts beside the nights: backfills, and forgetting what is old."""

from datetime import date

from dagster import Config, Failure, OpExecutionContext, op
from pydantic import Field

from assets.build import build_marts
from assets.outages import waits_out_outages
from assets.platform import PlatformResource
from ingestion.core import retention
from ingestion.core.backfill import Slice, backfill
from ingestion.core.ops.backfills import Asked


class BackfillConfig(Config):
    """What to read again; the fields of `c4 backfill`."""

    integration: str = Field(description="The account.")
    first: str = Field(description="The first business date, YYYY-MM-DD.")
    last: str = Field(description="The last business date, YYYY-MM-DD.")
    source: str = Field("api", description="api, or landing: what reached us before, without a call.")
    outlet: str = Field("", description="Only this outlet, by our id.")
    streams: str = Field("", description="Only these streams, with commas between.")
    days: int = Field(7, ge=1, description="Business dates that are read and loaded at a time.")
    build: bool = Field(False, description="Build and publish the marts at the end; else the next night does.")


@op(description="Read a range of business dates again while nights go on. Started again, it goes on where it was.")
@waits_out_outages
def read_again(context: OpExecutionContext, config: BackfillConfig, platform: PlatformResource) -> None:
    opened = platform.open(context)
    first, last = date.fromisoformat(config.first), date.fromisoformat(config.last)
    asked = Asked(config.integration, config.source, first, last, config.outlet, config.streams, config.days)

    def told(piece: Slice, done: int, total: int) -> None:
        context.log.info(f"slice {done + 1} of {total}: {piece.first} to {piece.last}, {', '.join(piece.streams)}")

    report = backfill(opened, asked, f"dagster run {context.run.run_id}", told)
    context.add_output_metadata(
        {"slices": report.slices, "resumed": report.resumed, "rows": report.rows, "rejects": report.rejects}
    )
    if not report.is_finished:
        raise Failure("a part could not be read; start it again to go on", {"problems": "\n".join(report.problems)})
    if config.build:
        build_marts(opened)


@op(description="Delete old landing batches and replaced raw rows, as company.yaml allows (see c4 retention).")
@waits_out_outages
def forget_old(context: OpExecutionContext, platform: PlatformResource) -> None:
    report = retention.apply(platform.open(context), f"dagster run {context.run.run_id}")
    context.add_output_metadata(
        {
            "batches": sum(len(item.batches) for item in report.old),
            "bytes": sum(item.bytes for item in report.old),
            "raw rows": sum(item.rows for item in report.replaced),
            "stays": "\n".join(f"{' '.join(key)}: {count}" for key, count in sorted(report.stays.items())) or "-",
        }
    )
