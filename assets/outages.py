"""Steps that wait out a database server that restarts, or a lease whose owner died on another machine.

Every other failure, of data above all, is not retried.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from dagster import AssetCheckExecutionContext, AssetExecutionContext, RetryRequested

from ingestion.core.ops.leases import TERM, LeaseHeldError
from ingestion.core.outages import server_was_away

MAX_RETRIES = 5
FIRST_WAIT_SECONDS = 5  # doubled from try to try: two and a half minutes in all
LEASE_WAIT_SECONDS = TERM.total_seconds() / (MAX_RETRIES - 1)  # in all longer than a lease of a machine that is gone
Step = TypeVar("Step", bound=Callable[..., Any])


def waits_out_outages(compute: Step) -> Step:
    """Have Dagster try a step again, a bounded number of times, when it lost its database server or finds a
    lease held.

    The step must be safe to run again from its start; all of ours are, because any of them may be killed.
    """
    if inspect.isgeneratorfunction(compute):

        @functools.wraps(compute)
        def stepwise(context: Any, *arguments: Any, **resources: Any) -> Iterator[Any]:
            with _outages(context):
                yield from compute(context, *arguments, **resources)

        return stepwise  # type: ignore[return-value]

    @functools.wraps(compute)
    def step(context: Any, *arguments: Any, **resources: Any) -> Any:
        with _outages(context):
            return compute(context, *arguments, **resources)

    return step  # type: ignore[return-value]


@contextmanager
def _outages(context: AssetExecutionContext | AssetCheckExecutionContext) -> Iterator[None]:
    try:
        yield
    except LeaseHeldError as error:
        raise RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=LEASE_WAIT_SECONDS) from error
    except Exception as error:
        if not server_was_away(error):
            raise
        wait = FIRST_WAIT_SECONDS * 2**context.op_execution_context.retry_number
        raise RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=wait) from error
