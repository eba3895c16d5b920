"""What is wrong after a night, as incidents: opened, closed and told once each."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    Failure,
    MaterializeResult,
    MetadataValue,
    asset,
)

from assets.outages import waits_out_outages
from assets.platform import PlatformResource
from ingestion.core import warehouse
from ingestion.core.alerts import notify
from ingestion.core.ops.incidents import Incident, Severity
from ingestion.core.outbox import Status
from ingestion.core.platform import Platform

ERROR_RATE = 0.05
MIN_CALLS = 20  # below that a rate says nothing
NOT_ACCEPTED = {Status.REJECTED, Status.FAILED, Status.UNCERTAIN, Status.SENDING}


def incidents_asset(after: AssetKey) -> AssetsDefinition:
    """The last step of a night: look at everything, open and close incidents, tell who must know.

    It fails when a target did not accept a document: at the end, so that one refusal never keeps the marts back.
    """

    @asset(
        key=["operations", "incidents"],
        deps=[after],
        group_name="operations",
        description="What is wrong after this night; alerts go out once per incident.",
    )
    @waits_out_outages
    def incidents(context: AssetExecutionContext, platform: PlatformResource) -> MaterializeResult:
        opened = platform.open(context)
        watch(opened)
        for problem in tell(opened):
            context.log.warning(problem)
        refused = [row for row in opened.ops.snapshot()["outbox"][1] if row["status"] in NOT_ACCEPTED]
        if refused:
            raise Failure(
                f"{len(refused)} journal documents were not accepted; the marts are built and published",
                metadata={"documents": MetadataValue.json([row["document_key"] for row in refused[:50]])},
            )
        return MaterializeResult(metadata={"open": len(opened.ops.incidents.current())})

    return incidents


def tell(platform: Platform) -> list[str]:
    """Alert everyone who is configured about incidents they have not heard of. Returns what could not be delivered."""
    return notify(platform.ops, platform.config.alert_emails).failures


def watch(platform: Platform) -> None:
    """Compare the state of the platform with the open incidents."""
    book = platform.ops.incidents
    book.reconcile("integration-down:", _down(platform))
    book.reconcile("error-rate:", _error_rates(platform))
    book.reconcile("rejects:", _rejects(platform))
    with warehouse.published(platform.settings) as marts:
        if marts is not None:
            book.reconcile("days-waiting:", _waiting(marts))
            book.reconcile("reconciliation:", _reconciliations(marts))
            book.reconcile("unmapped:", _unmapped(marts))


def _down(platform: Platform) -> Iterable[Incident]:
    """Accounts whose last run read nothing."""
    last: dict[str, tuple[int, set[str], str]] = {}
    for row in platform.ops.snapshot()["sync_runs"][1]:
        run, states, error = last.get(row["integration_id"], (0, set(), ""))
        if row["run_id"] > run:
            run, states, error = row["run_id"], set(), ""
        if row["run_id"] == run:
            last[row["integration_id"]] = (run, states | {row["status"]}, error or row["error"])
    return [
        Incident(
            f"integration-down:{name}",
            Severity.CRITICAL,
            f"{name} could not be read: {error[:200]}",
            "its outlet-days wait; the other systems went on",
            "the re-scan tries again every 15 minutes; if it stays, run `c4 doctor`",
        )
        for name, (_, states, error) in last.items()
        if states == {"failed"}
    ]


def _error_rates(platform: Platform) -> Iterable[Incident]:
    rates = platform.ops.calls.error_rates(platform.ops.now() - timedelta(days=1))
    return [
        Incident(
            f"error-rate:{name}",
            Severity.ERROR,
            f"{failed} of {calls} calls to {name} failed in the last day",
            "slow or incomplete loads of this account",
            "look at the vendor's status; lower per_second in integrations.yaml if it throttles",
        )
        for name, (calls, failed) in rates.items()
        if calls >= MIN_CALLS and failed > calls * ERROR_RATE
    ]


def _rejects(platform: Platform) -> Iterable[Incident]:
    counts: dict[str, int] = {}
    for row in platform.ops.rejects(status="open"):
        counts[str(row["integration_id"])] = counts.get(str(row["integration_id"]), 0) + 1
    return [
        Incident(
            f"rejects:{name}",
            Severity.WARNING,
            f"{count} records of {name} did not fit",
            "the outlet-days they belong to are held back",
            "c4 rejects list; mend at the source or `c4 rejects replay`",
        )
        for name, count in counts.items()
    ]


def _waiting(marts: warehouse.Connection) -> Iterable[Incident]:
    rows = marts.execute(
        "select business_date, count(*), min(reason) from outlet_days where state = 'open' group by 1 order by 1"
    ).fetchall()
    return [
        Incident(
            f"days-waiting:{day}",
            Severity.ERROR,
            f"{count} outlet-days of {day} are not complete",
            str(reason),
            "the re-scan tries again; `c4 status` shows each reason",
        )
        for day, count, reason in rows
    ]


def _reconciliations(marts: warehouse.Connection) -> Iterable[Incident]:
    rows = marts.execute(
        "select rule, business_date, count(*), sum(abs(difference)) from reconciliations "
        "where status = 'fail' group by 1, 2 order by 2, 1"
    ).fetchall()
    return [
        Incident(
            f"reconciliation:{rule}:{day}",
            Severity.ERROR,
            f"{rule} of {day}: {count} differences, {total} in all",
            "the days are held back from posting",
            "c4 query \"select * from reconciliations where status = 'fail'\"",
        )
        for rule, day, count, total in rows
    ]


def _unmapped(marts: warehouse.Connection) -> Iterable[Incident]:
    rows: list[tuple[Any, ...]] = marts.execute(
        "select domain, source_code, sum(amount) from mapping_exceptions group by 1, 2 order by 1, 2"
    ).fetchall()
    return [
        Incident(
            f"unmapped:{domain}:{code}",
            Severity.WARNING,
            f"no mapping for {domain.replace('_', ' ')} {code}",
            f"{amount} waits in suspense and holds its outlet-days",
            "add it to code_mapping.csv or account_mapping.csv; the next night posts",
        )
        for domain, code, amount in rows
    ]
