"""Which errors mean that a database server went away or is coming back, so that trying again may help."""

from __future__ import annotations

import re
from collections.abc import Iterator

# By their words and not by their types: the same loss comes from psycopg2, through SQLAlchemy, ADBC or dlt, and from
# dbt as the output of a process. The words are libpq's and the server's own. A wrong password is not among them.
AWAY = re.compile(
    r"""
    server\ closed\ the\ connection | connection\ (already|is|has\ been)\ closed | connection\ was\ closed
    | no\ connection\ to\ the\ server | terminating\ connection | lost\ synchronization
    | connection\ (refused|reset|timed\ out) | timeout\ expired | broken\ pipe | no\ route\ to\ host
    | could\ not\ translate\ host\ name | is\ the\ server\ running
    | the\ database\ system\ is\ (starting\ up|shutting\ down|in\ recovery\ mode|not\ (yet\ )?accepting\ connections)
    """,
    re.VERBOSE | re.IGNORECASE,
)


def server_was_away(error: BaseException) -> bool:
    """Whether the error, or one behind it, tells of a database server that could not be reached or that hung up."""
    return any(AWAY.search(str(link)) for link in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it, each once."""
    pending, seen = [error], set()
    while pending:
        link = pending.pop()
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        causes = (link.__cause__, link.__context__, getattr(link, "orig", None))
        pending += [cause for cause in causes if isinstance(cause, BaseException)]
