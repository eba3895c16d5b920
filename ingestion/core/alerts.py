"""Alerts: incidents told to people over Slack and e-mail, once per incident.

Who finds something wrong opens an incident (`Ops.incidents`); `notify` tells every channel what it was not told yet.
A channel that fails is tried again by the next delivery; a failure never breaks the run. An incident is told again
only when its severity rises, or when it comes back after it was closed.
"""

from __future__ import annotations

import os
import re
import smtplib
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import make_msgid
from typing import Protocol
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import requests

from ingestion.core.ops.incidents import OpenIncident, Severity
from ingestion.core.ops.leases import LeaseHeldError, lease
from ingestion.core.ops.store import Ops

TIMEOUT = 10.0  # seconds for one delivery
TEXT_LIMIT = 600  # characters of one part of a message
SINGLE_MESSAGES = 10  # incidents told one by one in a delivery; the rest go into one message
LISTED = 40  # incidents named in that one message
LOOPBACK = ("127.0.0.1", "::1", "localhost")

_SECRETS = (
    (re.compile(r"\b(\w+://)[^/\s@]+@"), r"\1***@"),  # user:password@host
    (re.compile(r"(https?://[^\s?]+)\?\S+"), r"\1?***"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w\-.~+/=]{8,}"), r"\1 ***"),
    (re.compile(r"(?i)\b(token|secret|password|api[_-]?key)([\"']?\s*[=:]\s*)\S+"), r"\1\2***"),
    (re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+\.[\w.+-]+"), "<address>"),  # tried once per word: linear in the text
)


class DeliveryError(Exception):
    """A channel did not take a message. The text names the channel and the kind of failure, never its address."""


@dataclass(frozen=True, slots=True)
class Message:
    subject: str
    body: str


class Channel(Protocol):
    """A way to reach people. `send` raises DeliveryError."""

    @property
    def name(self) -> str: ...

    def send(self, message: Message) -> None: ...


@dataclass(frozen=True, slots=True)
class Slack:
    """An incoming webhook."""

    url: str = field(repr=False)
    name: str = "slack"

    def send(self, message: Message) -> None:
        text = f"*{message.subject}*\n{message.body}"
        for sign, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.replace(sign, escaped)
        try:
            answer = requests.post(self.url, json={"text": text}, timeout=TIMEOUT)
        except requests.RequestException as error:
            raise DeliveryError(f"slack: no answer ({type(error).__name__})") from None
        if answer.status_code != 200:
            raise DeliveryError(f"slack: answered {answer.status_code}")


@dataclass(frozen=True, slots=True)
class Mail:
    """SMTP: `smtp://user:password@host:port?from=address` (STARTTLS where it is offered) or `smtps://`.

    A password is never sent over a connection that is not encrypted, except to this very machine.
    """

    url: str = field(repr=False)
    recipients: tuple[str, ...]
    name: str = "e-mail"

    def send(self, message: Message) -> None:
        parts = urlsplit(self.url)
        mail = EmailMessage()
        mail["Subject"] = message.subject
        mail["From"] = self._sender(parts)
        mail["To"] = ", ".join(self.recipients)
        mail["Message-ID"] = make_msgid(domain="c4")
        mail.set_content(message.body)
        try:
            with self._connected(parts) as server:
                server.send_message(mail)
        except (smtplib.SMTPException, OSError) as error:
            raise DeliveryError(f"e-mail: {type(error).__name__}") from None

    def _connected(self, parts: SplitResult) -> smtplib.SMTP:
        host = parts.hostname or "localhost"
        context = ssl.create_default_context()
        server: smtplib.SMTP
        if parts.scheme == "smtps":
            server = smtplib.SMTP_SSL(host, parts.port or 465, timeout=TIMEOUT, context=context)
        else:
            server = smtplib.SMTP(host, parts.port or 25, timeout=TIMEOUT)
        try:
            server.ehlo()
            encrypted = parts.scheme == "smtps"
            if not encrypted and server.has_extn("starttls"):
                server.starttls(context=context)
                server.ehlo()
                encrypted = True
            if parts.username:
                if not encrypted and host not in LOOPBACK:
                    raise DeliveryError("e-mail: the server offers no encryption, so the password was not sent")
                server.login(unquote(parts.username), unquote(parts.password or ""))
        except BaseException:
            server.close()
            raise
        return server

    def _sender(self, parts: SplitResult) -> str:
        told = parse_qs(parts.query).get("from")
        user = unquote(parts.username or "")
        return told[0] if told else (user if "@" in user else f"c4@{socket.gethostname()}")


def channels(recipients: Sequence[str], environment: Mapping[str, str] = os.environ) -> list[Channel]:
    """The channels that are configured: `C4_SLACK_WEBHOOK`, and `C4_SMTP_URL` where there is a recipient."""
    found: list[Channel] = []
    if url := environment.get("C4_SLACK_WEBHOOK"):
        found.append(Slack(url))
    if (url := environment.get("C4_SMTP_URL")) and recipients:
        found.append(Mail(url, tuple(recipients)))
    return found


@dataclass(slots=True)
class Told:
    """What a delivery came to: messages sent, and in words what could not be sent (the next delivery tries again)."""

    sent: int = 0
    failures: list[str] = field(default_factory=list)


def notify(ops: Ops, recipients: Sequence[str], environment: Mapping[str, str] = os.environ) -> Told:
    """Tell the configured channels of every open incident that they do not know yet. Never raises for a channel."""
    return deliver(ops, channels(recipients, environment))


def deliver(ops: Ops, to: Iterable[Channel]) -> Told:
    """`notify` over given channels. While another delivery is under way there is nothing to do: it tells them all."""
    told = Told()
    try:
        with lease(ops.sessions, "alerts", ops.now):
            for channel in to:
                _tell(ops, channel, told)
    except LeaseHeldError:
        return told
    return told


def _tell(ops: Ops, channel: Channel, told: Told) -> None:
    for items, message in _messages(ops.incidents.untold(channel.name)):
        try:
            channel.send(message)
        except DeliveryError as error:
            told.failures.append(str(error))
            return  # the channel is in trouble: the rest waits too
        ops.incidents.told(channel.name, items)
        told.sent += 1


def _messages(items: Sequence[OpenIncident]) -> Iterable[tuple[Sequence[OpenIncident], Message]]:
    """One message per incident; a flood ends in one message that lists the rest."""
    for item in items[:SINGLE_MESSAGES]:
        yield [item], _single(item)
    rest = items[SINGLE_MESSAGES:]
    if rest:
        listed = [f"- {_line(item.incident.title)}" for item in rest[:LISTED]]
        if len(rest) > LISTED:
            listed.append(f"- and {len(rest) - LISTED} more")
        subject = _subject(rest[0].incident.severity, f"{len(rest)} more incidents")
        yield rest, Message(subject, "\n".join([*listed, "See all: c4 status"]))


def _single(item: OpenIncident) -> Message:
    incident = item.incident
    body = [
        f"What happened: {scrub(incident.title)}",
        f"What it touches: {scrub(incident.touches)}",
        f"What to do: {scrub(incident.todo)}",
        f"Since {item.opened_at:%Y-%m-%d %H:%M} UTC.",
    ]
    return Message(_subject(incident.severity, incident.title), "\n".join(body))


def _subject(severity: Severity, title: str) -> str:
    return f"[C4] {severity.name}: {_line(title)}"


def _line(text: str) -> str:
    return " ".join(scrub(text).split())[:150]


def scrub(text: str) -> str:
    """Text without credentials, query strings or addresses, and of bounded length."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 1] + "…"
