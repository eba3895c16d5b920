"""Alerts over real sockets: a local webhook and a local mail server receive what people would."""

from __future__ import annotations

import base64
import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_string
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ingestion.core.alerts import LISTED, SINGLE_MESSAGES, DeliveryError, Mail, Message, channels, notify, scrub
from ingestion.core.ops.crypto import Keyring
from ingestion.core.ops.incidents import Incident, Severity
from ingestion.core.ops.store import Ops


class Webhook:
    """Receives Slack messages; `status` is what it answers."""

    def __init__(self) -> None:
        self.received: list[str] = []
        self.status = 200
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if owner.status == 200:
                    owner.received.append(body["text"])
                self.send_response(owner.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/services/T000/B000/verysecret"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class MailServer:
    """A minimal SMTP receiver: EHLO, STARTTLS if it has a certificate, AUTH PLAIN, MAIL, RCPT, DATA."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.received: list[tuple[list[str], str]] = []
        self.logins: list[tuple[str, str, bool]] = []  # user, password, encrypted
        self.refuse = False
        owner = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                encrypted = False
                recipients: list[str] = []
                self.say("220 test")
                while line := self.rfile.readline().decode().strip():
                    verb = line.upper().split(" ", 1)[0].split(":")[0]
                    if verb == "EHLO":
                        offers = ["STARTTLS"] if tls is not None and not encrypted else []
                        for offer in ["test", *offers]:
                            self.say(f"250-{offer}")
                        self.say("250 AUTH PLAIN")
                    elif verb == "STARTTLS":
                        assert tls is not None
                        self.say("220 go")
                        self.connection = tls.wrap_socket(self.connection, server_side=True)
                        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
                        encrypted = True
                    elif verb == "AUTH":
                        _, user, password = base64.b64decode(line.split(" ")[2]).decode().split("\0")
                        owner.logins.append((user, password, encrypted))
                        self.say("235 ok")
                    elif verb == "RCPT":
                        if owner.refuse:
                            self.say("550 no such mailbox")
                        else:
                            recipients.append(line.split("<")[1].split(">")[0])
                            self.say("250 ok")
                    elif verb == "DATA":
                        self.say("354 go")
                        text = []
                        while (row := self.rfile.readline().decode()) != ".\r\n":
                            text.append(row)
                        owner.received.append((recipients, "".join(text)))
                        self.say("250 ok")
                    elif verb == "QUIT":
                        self.say("221 bye")
                        return
                    else:
                        self.say("250 ok")

            def say(self, text: str) -> None:
                self.wfile.write(f"{text}\r\n".encode())

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def ops(tmp_path: Path) -> Ops:
    return Ops.open(f"sqlite:///{tmp_path / 'ops.db'}", Keyring.load(tmp_path / "c4.key"))


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    server = Webhook()
    yield server
    server.close()


@pytest.fixture
def mail() -> Iterator[MailServer]:
    server = MailServer()
    yield server
    server.close()


def down(severity: Severity = Severity.ERROR) -> Incident:
    return Incident(
        "integration-down:moka-nki",
        severity,
        "moka-nki does not answer",
        "sales of 18 outlets on 2026-04-05",
        "See the vendor's status page; the re-scan heals it.",
    )


def test_an_incident_is_told_once_until_it_comes_back(ops: Ops, webhook: Webhook) -> None:
    """Catches: an alert per run for the same trouble; silence when the trouble comes back."""
    to = {"C4_SLACK_WEBHOOK": webhook.url}
    for _ in range(3):
        ops.incidents.open(down())
        notify(ops, [], to)
    assert len(webhook.received) == 1
    assert "What happened: moka-nki does not answer" in webhook.received[0]
    assert "What it touches: sales of 18 outlets" in webhook.received[0]
    assert "What to do: See the vendor's status page" in webhook.received[0]
    ops.incidents.close(down().key)
    notify(ops, [], to)
    assert len(webhook.received) == 1
    ops.incidents.open(down())
    notify(ops, [], to)
    assert len(webhook.received) == 2


def test_a_rising_severity_is_told_again_a_falling_one_is_not(ops: Ops, webhook: Webhook) -> None:
    """Catches: a warning that becomes critical unnoticed."""
    to = {"C4_SLACK_WEBHOOK": webhook.url}
    for severity in (Severity.WARNING, Severity.CRITICAL, Severity.ERROR, Severity.CRITICAL):
        ops.incidents.open(down(severity))
        notify(ops, [], to)
    assert [text.split(":")[0] for text in webhook.received] == ["*[C4] WARNING", "*[C4] CRITICAL"]


def test_a_failed_delivery_is_made_up_for_and_breaks_nothing(ops: Ops, webhook: Webhook, mail: MailServer) -> None:
    """Catches: an alert that is lost because a channel was down, or told twice to the channel that was up."""
    to = {"C4_SLACK_WEBHOOK": webhook.url, "C4_SMTP_URL": f"smtp://127.0.0.1:{mail.port}"}
    ops.incidents.open(down())
    webhook.status = 500
    told = notify(ops, ["finance@example.com"], to)
    assert (told.sent, told.failures) == (1, ["slack: answered 500"])
    webhook.status = 200
    assert notify(ops, ["finance@example.com"], to).failures == []
    assert (len(webhook.received), len(mail.received)) == (1, 1)
    webhook.close()
    mail.refuse = True
    ops.incidents.open(down(Severity.CRITICAL))
    assert notify(ops, ["finance@example.com"], to).failures == [
        "slack: no answer (ConnectionError)",
        "e-mail: SMTPRecipientsRefused",
    ]


def test_mail_arrives_whole(ops: Ops, mail: MailServer) -> None:
    """Catches: broken headers (a line break in a title must not become a header), a missing recipient."""
    url = f"smtp://robot:pass%40word@127.0.0.1:{mail.port}?from=c4@example.com"
    ops.incidents.open(Incident("k", Severity.ERROR, "rejected:\r\nBcc: x@example.com", "JKT-001", "approve"))
    assert notify(ops, ["a@example.com", "b@example.com"], {"C4_SMTP_URL": url}).failures == []
    ((recipients, text),) = mail.received
    assert recipients == ["a@example.com", "b@example.com"]
    parsed = message_from_string(text)
    assert parsed["Bcc"] is None
    assert parsed["From"] == "c4@example.com"
    assert parsed["Subject"].startswith("[C4] ERROR: rejected: Bcc:")
    assert mail.logins == [("robot", "pass@word", False)]  # this very machine: a local relay


def test_starttls_is_used_where_it_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a password sent in clear although the server offers encryption; a certificate that is not checked."""
    certificate, key = _certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    server = MailServer(tls)
    url = f"smtp://robot:secret@localhost:{server.port}"
    message = Message("subject", "body")
    try:
        with pytest.raises(DeliveryError, match="SSLCertVerificationError"):
            Mail(url, ("a@example.com",)).send(message)
        assert server.logins == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        Mail(url, ("a@example.com",)).send(message)
        assert server.logins == [("robot", "secret", True)]
    finally:
        server.close()


def test_a_password_never_travels_in_clear(mail: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a login over an unencrypted connection to another machine."""
    monkeypatch.setattr("ingestion.core.alerts.LOOPBACK", ())
    with pytest.raises(DeliveryError, match="no encryption"):
        Mail(f"smtp://robot:secret@127.0.0.1:{mail.port}", ("a@example.com",)).send(Message("s", "b"))
    assert mail.logins == []


def test_a_flood_ends_in_one_message(ops: Ops, webhook: Webhook) -> None:
    """Catches: three hundred messages in one night, or incidents that no message mentions."""
    count = SINGLE_MESSAGES + LISTED + 5
    incidents = [
        Incident(f"day-missing:{n:03}", Severity.ERROR, f"day of outlet {n:03} is missing " + "x" * 5000, "", "")
        for n in range(count)
    ]
    ops.incidents.open(*incidents)
    assert notify(ops, [], {"C4_SLACK_WEBHOOK": webhook.url}).sent == SINGLE_MESSAGES + 1
    assert "and 5 more" in webhook.received[-1]
    assert all(f"outlet {n:03}" in "".join(webhook.received) for n in range(SINGLE_MESSAGES + LISTED))
    assert max(map(len, webhook.received)) < 10_000
    assert notify(ops, [], {"C4_SLACK_WEBHOOK": webhook.url}).sent == 0


def test_the_gravest_comes_first(ops: Ops, webhook: Webhook) -> None:
    """Catches: a critical incident hidden in the list behind warnings."""
    ops.incidents.open(*[Incident(f"w{n}", Severity.WARNING, f"w{n}", "", "") for n in range(SINGLE_MESSAGES)])
    ops.incidents.open(Incident("c", Severity.CRITICAL, "two live documents", "", ""))
    notify(ops, [], {"C4_SLACK_WEBHOOK": webhook.url})
    assert "CRITICAL: two live documents" in webhook.received[0]


@pytest.mark.parametrize(
    ("text", "kept", "gone"),
    [
        ("postgresql://c4:hunter2@db/c4 refused", "db/c4 refused", "hunter2"),
        ("GET https://api.example.com/v1?access_token=abc123", "https://api.example.com/v1", "abc123"),
        ("header Authorization: Bearer eyJhbGciOi.abc", "header", "eyJhbGciOi"),
        ('{"password": "hunter2"}', "password", "hunter2"),
        ("card of budi@example.com", "card of", "budi@example.com"),
    ],
)
def test_secrets_and_addresses_are_taken_out(text: str, kept: str, gone: str) -> None:
    """Catches: an error text that carries a credential or a person into a chat."""
    assert kept in scrub(text)
    assert gone not in scrub(text)


def test_the_webhook_and_the_password_are_not_printed(ops: Ops, webhook: Webhook, mail: MailServer) -> None:
    """Catches: secrets in the repr of a channel or in the words of a failure."""
    to = {"C4_SLACK_WEBHOOK": webhook.url, "C4_SMTP_URL": f"smtp://robot:verysecret@127.0.0.1:{mail.port}"}
    webhook.status, mail.refuse = 403, True
    ops.incidents.open(down())
    words = [repr(channels(["a@example.com"], to)), *notify(ops, ["a@example.com"], to).failures]
    assert not any("verysecret" in text for text in words)


def test_reconciling_opens_the_new_and_closes_what_is_over(ops: Ops) -> None:
    """Catches: an incident of another family that is closed along, one that stays after it healed."""
    ops.incidents.open(down(), Incident("check:a", Severity.ERROR, "a", "", ""))
    ops.incidents.reconcile("check:", [Incident("check:b", Severity.ERROR, "b", "", "")])
    assert sorted(item.incident.key for item in ops.incidents.current()) == ["check:b", "integration-down:moka-nki"]
    with pytest.raises(ValueError, match="does not begin with"):
        ops.incidents.reconcile("check:", [down()])


def test_without_configuration_there_is_no_channel(ops: Ops) -> None:
    """Catches: a mail without a recipient, a crash on a platform that has no alerts set up."""
    assert channels([], {"C4_SMTP_URL": "smtp://127.0.0.1"}) == []
    ops.incidents.open(down())
    assert notify(ops, [], {}).sent == 0


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths
