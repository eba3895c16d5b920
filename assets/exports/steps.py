"""What every export step is: it sends, says how much, and what did not get through fails a check of its asset."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Protocol, TypeVar

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    MaterializeResult,
    MetadataValue,
    asset,
)

from assets.ingestion import OWNER
from assets.outages import waits_out_outages
from assets.platform import PlatformResource
from ingestion.core.outbox import Problem
from ingestion.core.platform import Platform
from ingestion.core.spec import Connector


class Ended(Protocol):
    """How the sending to one account ended."""

    problems: list[Problem]


Result = TypeVar("Result", bound=Ended)


def export_step(
    connector: Connector,
    name: str,
    *,
    description: str,
    check: tuple[str, str],
    send: Callable[[Platform], Sequence[Result]],
    counts: Mapping[str, Callable[[Result], Sized]],
    deps: Iterable[AssetKey] = (),
) -> AssetsDefinition:
    """The asset `exports/<vendor>_<name>`: `send` once per account, `counts` as its metadata, and the `check` (its name
    and description), which fails with any problem.
    """
    key = AssetKey(["exports", f"{connector.slug}_{name}"])
    check_name, expected = check

    @asset(
        key=key,
        deps=list(deps),
        group_name="exports",
        kinds={str(connector.category)},
        owners=[OWNER],
        description=description,
        pool=f"vendor_{connector.slug}",
        check_specs=[AssetCheckSpec(check_name, asset=key, description=expected)],
    )
    @waits_out_outages
    def step(
        context: AssetExecutionContext, platform: PlatformResource
    ) -> Iterator[MaterializeResult | AssetCheckResult]:
        results = send(platform.open(context))
        problems = [problem for result in results for problem in result.problems]
        for problem in problems:
            context.log.error(f"{problem.subject}: {problem.title}. {problem.todo}")
        yield MaterializeResult(
            metadata={label: sum(len(items(result)) for result in results) for label, items in counts.items()}
        )
        yield AssetCheckResult(
            passed=not problems,
            check_name=check_name,
            severity=AssetCheckSeverity.ERROR,
            metadata={"problems": MetadataValue.json([f"{p.subject}: {p.title}" for p in problems[:50]])},
        )

    return step
