"""Freshness of the data, reconciliation, rejects, unmapped codes and volume, as queries over the marts.

dbt's own tests (trial balance, balanced journals, keys) are asset checks already; these need more than one mart or
the operational tables. A check never repairs: it names the outlet-days and says what to do.
"""

from dataclasses import dataclass

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetKey,
    MetadataValue,
    TableColumn,
    TableRecord,
    TableSchema,
    asset_check,
)

from assets.outages import waits_out_outages
from assets.platform import PlatformResource
from ingestion.core import warehouse

EVIDENCE_ROWS = 25


@dataclass(frozen=True, slots=True)
class Check:
    """`failures` returns one row per failure; no row passes. `todo` tells a person what to do."""

    name: str
    asset: AssetKey
    failures: str
    todo: str
    severity: AssetCheckSeverity = AssetCheckSeverity.ERROR


CHECKS = (
    Check(
        "data_is_fresh",
        AssetKey(["marts", "outlet_days"]),
        """
        select w.integration_id, w.source_outlet_id, w.stream, cast(w.complete_until as varchar) as complete_until
        from raw_c4.watermarks as w
        inner join raw_c4.integrations as i on i.integration_id = w.integration_id and i.enabled
        cross join raw_c4.group_settings as g
        where w.marks_complete and w.complete_until < g.as_of - interval '24 hours'
        order by w.complete_until
        """,
        "Sales of these outlets stop at the time shown. Look at the account in `c4 status`; the re-scan heals it.",
    ),
    Check(
        "reconciled",
        AssetKey(["marts", "reconciliations"]),
        """
        select rule, coalesce(outlet_id, integration_id, entity_id) as subject,
            cast(business_date as varchar) as business_date, measure,
            cast(expected as varchar) as expected, cast(actual as varchar) as actual,
            cast(difference as varchar) as difference, evidence
        from marts.reconciliations
        where status = 'fail'
        order by business_date, rule, subject
        """,
        "The source and the marts disagree. The day is held back; the evidence names what to compare.",
    ),
    Check(
        "no_open_rejects",
        AssetKey(["raw_c4", "rejects"]),
        """
        select integration_id, stream, record_key, field, rule
        from raw_c4.rejects
        where status = 'open'
        order by first_seen
        """,
        "See `c4 rejects list`; mend the source or the mapping, then `c4 rejects replay`.",
        AssetCheckSeverity.WARN,
    ),
    Check(
        "codes_are_mapped",
        AssetKey(["marts", "mapping_exceptions"]),
        """
        select domain, vendor, source_code, cast(first_business_date as varchar) as first_business_date,
            cast(amount as varchar) as amount
        from marts.mapping_exceptions
        order by amount desc
        """,
        "Add the code to code_mapping.csv or account_mapping.csv; the days waiting for it are posted by the next run.",
        AssetCheckSeverity.WARN,
    ),
    Check(
        "volume_is_usual",
        AssetKey(["marts", "sales_daily"]),
        """
        with usual as (
            select outlet_id, business_date, checks,
                avg(checks) over (
                    partition by outlet_id order by business_date rows between 28 preceding and 1 preceding
                ) as mean,
                count(*) over (
                    partition by outlet_id order by business_date rows between 28 preceding and 1 preceding
                ) as days
            from marts.sales_daily
        )
        select outlet_id, cast(business_date as varchar) as business_date, checks, round(mean, 1) as usual_checks
        from usual
        where days >= 7 and (checks < 0.4 * mean or checks > 2.5 * mean)
        order by business_date desc, outlet_id
        """,
        "Far fewer or more checks than the outlet's last four weeks: a till off line, a holiday, or a double delivery.",
        AssetCheckSeverity.WARN,
    ),
)


def operations_checks() -> list[AssetChecksDefinition]:
    """Every check above as a Dagster asset check."""
    return [_build(check) for check in CHECKS]


def _build(check: Check) -> AssetChecksDefinition:
    @asset_check(asset=check.asset, name=check.name, description=check.todo)
    @waits_out_outages
    def run(context: AssetCheckExecutionContext, platform: PlatformResource) -> AssetCheckResult:
        settings = platform.settings(dict(context.run.tags))
        with warehouse.connect(settings) as connection:
            failures = warehouse.rows(connection, check.failures)
        if not failures:
            return AssetCheckResult(passed=True)
        columns = [TableColumn(name) for name in failures[0]]
        evidence = [
            TableRecord({name: "" if value is None else str(value) for name, value in row.items()})
            for row in failures[:EVIDENCE_ROWS]
        ]
        return AssetCheckResult(
            passed=False,
            severity=check.severity,
            metadata={
                "failures": len(failures),
                "what to do": check.todo,
                "evidence": MetadataValue.table(evidence, TableSchema(columns)),
            },
        )

    return run
