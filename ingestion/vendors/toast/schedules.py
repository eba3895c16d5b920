"""Schedules to Toast: shifts of employees, found again by the external id that each of ours is created with.

Toast has no idempotency key, so a shift is looked for by its external id and by the employee's time before it is posted
again. An update replaces the whole record: job and clock-in tolerances are sent as they were read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec

from ingestion.core.errors import PageError
from ingestion.core.http import ApiClient
from ingestion.core.journal import UncertainOutcomeError
from ingestion.core.writes.change import Held, Refused, Wish, WriteKind, same_thing, shift_text, shift_times

SHIFTS, EMPLOYEES, JOBS = "labor/v1/shifts", "labor/v1/employees", "labor/v1/jobs"
NAMESPACE = "C4"  # external ids are NAMESPACE:value
WINDOW = timedelta(days=27)  # with a day on either side less than a month, which is the most that may be asked for
DAY = timedelta(days=1)
Stamp = Annotated[datetime, msgspec.Meta(tz=True)]


class _Reference(msgspec.Struct):
    guid: str | None = None


class _Employee(msgspec.Struct, rename="camel"):
    guid: str
    external_employee_id: str | None = None
    job_references: list[_Reference] = []
    deleted: bool | None = None


class _Job(msgspec.Struct):
    guid: str
    title: str | None = None
    code: str | None = None
    deleted: bool | None = None


class _Shift(msgspec.Struct, rename="camel"):
    guid: str
    in_date: Stamp
    out_date: Stamp
    external_id: str | None = None
    employee_reference: _Reference | None = None
    job_reference: _Reference | None = None
    schedule_config: dict[str, Any] | None = None
    deleted: bool | None = None

    @property
    def value(self) -> str:
        return shift_text(self.in_date, self.out_date)


class _Words(msgspec.Struct):
    message: str = ""


class ToastSchedules:
    """The `WriteTarget` of one client: `subject` is an employee by GUID or external employee id, `detail` a job by
    GUID, title or code, the record a shift's GUID.
    """

    def __init__(self, client: ApiClient, settings: Mapping[str, str]) -> None:
        self._client = client
        self._shifts: dict[str, _Shift] = {}  # as they were last read
        self._known: dict[str, tuple[list[_Employee], list[_Job]]] = {}  # by outlet, read once
        self._staff: dict[
            tuple[str, str, str], tuple[str, str]
        ] = {}  # (outlet, subject, job) -> GUIDs of employee and job

    def held(self, outlet: str, wishes: Sequence[Wish]) -> list[Held | Refused]:
        """The shift of each employee that is ours or lies in the wished time. Raises ApiError."""
        employees, jobs = self._people(outlet)
        times = [shift_times(wish.value) for wish in wishes]
        shifts = list(self._between(outlet, min(start for start, _ in times), max(end for _, end in times)))
        self._shifts |= {shift.guid: shift for shift in shifts}
        answers = []
        for wish in wishes:
            found = _person(wish, employees, jobs)
            if not isinstance(found, Refused):
                self._staff[outlet, wish.subject, wish.detail] = found
            answers.append(found if isinstance(found, Refused) else _shift_of(wish, found[0], shifts))
        return answers

    def put(self, outlet: str, wish: Wish, held: Held) -> Refused | None:
        """Create the shift, or give the held one its new times. Raises NotSentError or UncertainOutcomeError."""
        employee, job = self._staff[outlet, wish.subject, wish.detail]
        start, end = shift_times(wish.value)
        shift = self._shifts[held.record] if held.record else None
        body: dict[str, Any] = {
            "entityType": "Shift",
            "employeeReference": {"guid": employee, "entityType": "RestaurantUser"},
            "jobReference": {"guid": job, "entityType": "RestaurantJob"},
            "inDate": _stamp(start),
            "outDate": _stamp(end),
        }
        if shift is None:
            body["externalId"] = _external_id(wish)
        else:
            if not wish.detail and shift.job_reference is not None:
                body["jobReference"]["guid"] = shift.job_reference.guid
            if shift.schedule_config is not None:
                body["scheduleConfig"] = shift.schedule_config
        answer = self._client.send_once(
            "PUT" if shift else "POST", f"{SHIFTS}/{shift.guid}" if shift else SHIFTS, headers=_of(outlet), json=body
        )
        if answer.status_code >= 400:
            try:
                words = msgspec.json.decode(answer.content, type=_Words).message
            except (msgspec.DecodeError, UnicodeDecodeError):
                words = ""
            return Refused(words or f"refused with status {answer.status_code}")
        try:
            msgspec.json.decode(answer.content, type=_Shift)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UncertainOutcomeError(f"the answer ({answer.status_code}) cannot be read") from error
        return None

    def _people(self, outlet: str) -> tuple[list[_Employee], list[_Job]]:
        if outlet not in self._known:
            employees = _list(self._get(outlet, EMPLOYEES), _Employee)
            self._known[outlet] = employees, _list(self._get(outlet, JOBS), _Job)
        return self._known[outlet]

    def _between(self, outlet: str, start: datetime, end: datetime) -> Iterator[_Shift]:
        """Every shift that touches a time. Toast shows those that lie within what it is asked for: a day more."""
        seen: set[str] = set()
        while start < end:
            until = min(start + WINDOW, end)
            window = {"startDate": _stamp(start - DAY), "endDate": _stamp(until + DAY)}
            for shift in _list(self._get(outlet, SHIFTS, window), _Shift):
                if not shift.deleted and shift.guid not in seen:
                    seen.add(shift.guid)
                    yield shift
            start = until

    def _get(self, outlet: str, path: str, params: Mapping[str, str] | None = None) -> bytes:
        return self._client.request("GET", path, params=params, headers=_of(outlet)).content


def _person(wish: Wish, employees: Sequence[_Employee], jobs: Sequence[_Job]) -> tuple[str, str] | Refused:
    """GUIDs of the employee and of the job that a wish means."""
    found = [
        person
        for person in employees
        if wish.subject in (person.guid, person.external_employee_id) and not person.deleted
    ]
    if len(found) != 1:
        return Refused(f"employee: the restaurant has {len(found) or 'no'} employees by this id")
    own = {reference.guid for reference in found[0].job_references}
    live = [job for job in jobs if job.guid in own and not job.deleted]
    wanted = [job for job in live if not wish.detail or wish.detail in (job.guid, job.title, job.code)]
    if len(wanted) != 1:
        told = ", ".join(sorted(job.title or job.guid for job in live)) or "none"
        return Refused(f"job: must name one of the employee's jobs ({told})")
    return found[0].guid, wanted[0].guid


def _shift_of(wish: Wish, employee: str, shifts: Sequence[_Shift]) -> Held | Refused:
    own = [shift for shift in shifts if wish.reference and shift.external_id == _external_id(wish)]
    there = own or [
        shift
        for shift in shifts
        if shift.employee_reference is not None
        and shift.employee_reference.guid == employee
        and same_thing(WriteKind.SCHEDULES, wish.value, None, shift.value, None)
    ]
    if len(there) > 1:
        return Refused(f"start, end: the employee has {len(there)} shifts in that time; clear them in Toast first")
    return Held(there[0].guid, there[0].value) if there else Held("", "")


def _external_id(wish: Wish) -> str:
    return f"{NAMESPACE}:{wish.reference}"


def _of(outlet: str) -> dict[str, str]:
    return {"Toast-Restaurant-External-ID": outlet}


def _stamp(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000+0000"


def _list(content: bytes, kind: Any) -> list[Any]:
    try:
        return msgspec.json.decode(content, type=list[kind])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PageError(f"not a list of {kind.__name__.strip('_').lower()}s: {error}", content) from error
