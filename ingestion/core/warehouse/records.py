"""How dlt merges records here: a root and what hangs on it, in either warehouse.

Rows of children are appended to their tables as they come. Only roots are staged, and when they are merged the children
of the deliveries that they replace are deleted by the number of the delivery, `c4_seq`. So a table of children needs no
index by its root's key, and its rows are written once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from dlt.common.destination.client import FollowupJobRequest, PreparedTableSchema
from dlt.common.schema.utils import get_columns_names_with_prop, has_table_seen_data
from dlt.common.utils import uniq_id
from dlt.destinations.job_client_impl import SqlJobClientWithStagingDataset
from dlt.destinations.sql_client import SqlClientBase
from dlt.destinations.sql_jobs import SqlMergeFollowupJob

if TYPE_CHECKING:
    from dlt.common.schema.typing import TTableSchema

ROOT = "x-c4-root"  # a hint of a table of children: the table of their roots
ACCOUNT = "integration_id"


class RecordMerge(SqlMergeFollowupJob):
    """The statements of one transaction, from a root's table and those of its children.

    Of a key that was delivered several times the newest version stays, of equal ones the later delivery. Deliveries
    that the root's `source_filter` leaves out change nothing. Children of deliveries that did not stay are left to the
    loader: while this runs, they may not all have come.
    """

    @classmethod
    def gen_merge_sql(cls, table_chain: Sequence[PreparedTableSchema], sql_client: SqlClientBase[Any]) -> list[str]:
        root, *children = (cast("TTableSchema", table) for table in table_chain)
        quoted = sql_client.escape_column_name
        names = get_columns_names_with_prop(root, "primary_key")
        key = ", ".join(map(quoted, names))
        columns = ", ".join(map(quoted, get_columns_names_with_prop(root, "name")))
        target, staged = sql_client.get_qualified_table_names(str(root["name"]))
        accepted, replaced = (quoted(f"{kind}_{uniq_id(8)}") for kind in ("accepted", "replaced"))
        wanted, _ = cls.get_merge_conditions(table_chain[0], sql_client)

        def same(one: str, other: str, prefix: str = "") -> str:
            pairs = ((name if name == ACCOUNT else prefix + name, name) for name in names)
            return " and ".join(f"{one}.{quoted(mine)} = {other}.{quoted(theirs)}" for mine, theirs in pairs)

        statements = [
            f"create temporary table {accepted} as select {key}, c4_seq from ("  # noqa: S608
            f"select {key}, c4_seq, row_number() over (partition by {key} order by c4_version desc, c4_seq desc) as n"
            f" from {staged} where {wanted or '1 = 1'}) as deliveries where n = 1",
            f"create temporary table {replaced} as select old.* from "  # noqa: S608
            f"(select {key}, c4_seq from {target}) as old inner join {accepted} as new on {same('old', 'new')}"
            " where old.c4_seq <> new.c4_seq",
        ]
        for table in children:
            hanging = sql_client.make_qualified_table_name(str(table["name"]))
            statements.append(
                f"delete from {hanging} as child using {replaced} as old"  # noqa: S608
                f" where child.c4_seq = old.c4_seq and {same('child', 'old', 'root_')}"
            )
        statements += [
            f"delete from {target} as old using {accepted} as new where {same('old', 'new')}",  # noqa: S608
            f"insert into {target} ({columns}) select {columns} from {staged}"  # noqa: S608
            f" where c4_seq in (select c4_seq from {accepted})",
            f"drop table {accepted}",
            f"drop table {replaced}",
        ]
        return statements


class RecordClient(SqlJobClientWithStagingDataset):
    """What a client of dlt's does otherwise here; put before one of its classes."""

    def _create_merge_followup_jobs(self, table_chain: Sequence[PreparedTableSchema]) -> list[FollowupJobRequest]:
        (root,) = table_chain
        children = [
            self.prepare_load_table(name)
            for name, table in self.schema.tables.items()
            if table.get(ROOT) == root["name"] and has_table_seen_data(table)
        ]
        return [RecordMerge.from_table_chain([root, *children], self.sql_client)]
