"""BambooHR: employees, who reports to whom, time off and hours worked. No pay data is read."""

from __future__ import annotations

from datetime import timedelta

from ingestion.core.auth import basic
from ingestion.core.spec import Category, Connector, Cursor, Evidence, Limit, Stream, Table
from ingestion.vendors.bamboohr.records import (
    EmploymentStatus,
    JobInfo,
    ReportingLine,
    TimeOffRequest,
    TimesheetEntry,
)
from ingestion.vendors.bamboohr.transport import date_windows, error_reason

LATE_EDITS = timedelta(days=60)  # approved hours and requests are still changed, without any change feed

CONNECTOR = Connector(
    name="bamboohr",
    category=Category.HR,
    title="BambooHR",
    base_url="https://{company_domain}.bamboohr.com",
    auth=lambda credentials, *_: basic(credentials["api_key"], "x"),
    credential_fields=("api_key",),
    headers={"Accept": "application/json"},  # the default is XML
    limit=Limit(per_second=2, concurrent=2, evidence=Evidence.INFERRED),
    probe="api/v1/meta/tables",
    business_errors=error_reason,
    streams=(
        Stream(
            name="job_info",
            path="api/v1/employees/all/tables/jobInfo",
            tables=(Table("job_info", JobInfo, key=("employee_id", "id")),),
            write="replace",
            evidence=Evidence.SPEC,
            description="Job history of every employee, leavers included: job title, department, location.",
        ),
        Stream(
            name="employment_status",
            path="api/v1/employees/all/tables/employmentStatus",
            tables=(Table("employment_status", EmploymentStatus, key=("employee_id", "id")),),
            write="replace",
            evidence=Evidence.SPEC,
            description="Employment history of every employee: hired, changed, terminated, hired again.",
        ),
        Stream(
            name="reporting_lines",
            method="POST",
            path="api/v1/reports/custom",
            params={"format": "json", "onlyCurrent": "true"},
            body={"title": "Reporting lines", "fields": ["supervisorEId"]},
            records="employees",
            tables=(Table("reporting_lines", ReportingLine, key=("id",)),),
            write="replace",
            evidence=Evidence.DOCS,
            description="The manager of every employee, by id; elsewhere API keys get the name only.",
        ),
        Stream(
            name="time_off_requests",
            path="api/v1/time_off/requests",
            params={"excludeNote": "1"},
            fetch=date_windows(step=31, ahead=365),
            cursor=Cursor(lookback=LATE_EDITS),
            tables=(Table("time_off_requests", TimeOffRequest, key=("id",)),),
            evidence=Evidence.SPEC,
            description="Requests for time off that touch the window, a year ahead, in every status.",
        ),
        Stream(
            name="timesheet_entries",
            path="api/v1/time_tracking/timesheet_entries",
            fetch=date_windows(step=7, reach=364),
            cursor=Cursor(lookback=LATE_EDITS),
            constants={"read_until": "{as_of:%Y-%m-%dT%H:%M:%SZ}"},
            tables=(Table("timesheet_entries", TimesheetEntry, key=("id",), version="updated_at"),),
            evidence=Evidence.SPEC,
            description="Clocked shifts and typed-in hours. A later read of a day lacks deleted entries.",
        ),
    ),
)
