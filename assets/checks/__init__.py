"""Asset checks that look across the night: each is one query whose rows are the failures, shown as evidence."""

from assets.checks.operations import operations_checks

__all__ = ["operations_checks"]
