"""Events of a company's own broker into the inbox: Kafka on librdkafka's mock cluster, RabbitMQ on a real server."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import confluent_kafka
import msgspec
import pika
import pytest

from ingestion.core.config import Queue, QueuedEvent
from ingestion.core.errors import AccessError
from ingestion.core.lines import Message, NotStoredError
from ingestion.core.live import load_waiting
from ingestion.receiver.events import Refused
from ingestion.receiver.listen import LineKeeper, lines
from ingestion.receiver.queues import REASON, follower, kafka_settings, read_message
from ingestion.sandbox.company import Company
from tests.integration.test_live import LONG_AGO
from tests.stand import FIRST_DAY, Stand, no_sleep
from tests.tills import staged

WAIT = 60.0  # seconds that a test waits for another thread or process at most
QUEUE = Queue(
    broker="kafka",
    name="tills.sales",
    events={"sale": QueuedEvent(stream="sales", record="sale")},
    event_type="kind",
    event_id="id",
    outlet="sale.outlet",
    object_key="sale.number",
    sent_at="at",
)
SALE = {"kind": "sale", "id": 7, "at": "2026-04-04T10:00:00+07:00", "sale": {"outlet": "3", "number": "A1"}}


def test_a_message_is_read_at_the_declared_paths() -> None:
    """Catches: an event without its outlet, an id that changes with the delivery, words of the message in an error."""
    content = json.dumps(SALE).encode()
    message = read_message(QUEUE, content)
    assert (message.event_id, message.event_type, message.outlet, message.object_key) == ("7", "sale", "3", "A1")
    assert message.sent_at == datetime(2026, 4, 4, 3, tzinfo=UTC)
    assert message.content == content
    for broken, named in ((b"no json", ""), (json.dumps({**SALE, "id": None}).encode(), "id")):
        with pytest.raises(Refused) as caught:
            read_message(QUEUE, broken)
        assert caught.value.field == named


def test_kafka_settings_of_a_url() -> None:
    """Catches: a password with signs in it that is cut, a connection without TLS that was asked for."""
    url = "kafkas://c4:p%40ss%3A1@one:9093,two:9093?sasl.mechanism=SCRAM-SHA-512&client.id=c4"
    assert kafka_settings(url) == {
        "bootstrap.servers": "one:9093,two:9093",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "c4",
        "sasl.password": "p@ss:1",
        "client.id": "c4",
    }
    assert kafka_settings("kafka://one:9092")["security.protocol"] == "PLAINTEXT"


@pytest.mark.parametrize("url", ["", "amqp://broker", "http://user:secret@broker"])
def test_a_url_of_another_kind_is_told_without_its_password(url: str) -> None:
    with pytest.raises(AccessError, match="broker_url") as caught:
        follower(QUEUE, url)
    assert "secret" not in str(caught.value)


@dataclass
class Keeping:
    """Keeps as the inbox does, and refuses some calls; `full` when all that is expected is there."""

    expected: set[str]
    refuses: set[int] = field(default_factory=set)
    kept: list[str] = field(default_factory=list)
    calls: int = 0
    full: threading.Event = field(default_factory=threading.Event)

    def store(self, message: Message) -> Future[bool]:
        self.calls += 1
        done: Future[bool] = Future()
        if self.calls in self.refuses:
            done.set_exception(NotStoredError())
            return done
        self.kept.append(message.event_id)
        done.set_result(True)
        if self.expected <= set(self.kept):
            self.full.set()
        return done

    def position(self, name: str = "") -> int:
        return 0

    def remember(self, position: int, name: str = "") -> None:
        raise AssertionError("a broker keeps the position itself")

    def heard(self) -> None:
        """Nobody waits for it."""

    def lost(self, number: int, why: str) -> None:
        raise AssertionError(why)


@contextlib.contextmanager
def following(queue: Queue, url: str, keeping: Any) -> Iterator[list[Exception]]:
    """The queue's consumer in a thread; what ended it is in the list."""
    stop, errors = threading.Event(), []

    def run() -> None:
        try:
            follower(queue, url)(keeping, stop)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield errors
    finally:
        stop.set()
        thread.join(WAIT)
        assert not thread.is_alive()


def ended(errors: list[Exception]) -> None:
    """Wait until the consumer has ended."""
    end = time.monotonic() + WAIT
    while not errors and time.monotonic() < end:
        threading.Event().wait(0.02)


def told(number: int) -> bytes:
    return json.dumps({**SALE, "id": number}).encode()


# Kafka


@pytest.fixture
def kafka() -> Iterator[str]:
    """A cluster inside a producer that lives as long as the test: `kafka://host:port`.

    It knows no leaving of a group: a member is gone when its session ends.
    """
    cluster = confluent_kafka.Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "ignored:1"})
    brokers = cluster.list_topics(timeout=WAIT).brokers.values()
    hosts = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    yield f"kafka://{hosts}?session.timeout.ms=4000&heartbeat.interval.ms=300"
    cluster.flush(WAIT)


def produce(url: str, topic: str, *contents: bytes) -> None:
    producer = confluent_kafka.Producer({"bootstrap.servers": kafka_settings(url)["bootstrap.servers"]})
    for content in contents:
        producer.produce(topic, content, key=b"3")
    assert producer.flush(WAIT) == 0


def committed(url: str) -> int:
    consumer = confluent_kafka.Consumer({**kafka_settings(url), "group.id": QUEUE.group})
    try:
        places = consumer.committed([confluent_kafka.TopicPartition(QUEUE.name, n) for n in range(4)], timeout=WAIT)
        return sum(max(place.offset, 0) for place in places)
    finally:
        consumer.close()


def taken_from(url: str, topic: str, count: int) -> list[Any]:
    consumer = confluent_kafka.Consumer({**kafka_settings(url), "group.id": "look", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    found: list[Any] = []
    end = time.monotonic() + WAIT
    while len(found) < count and time.monotonic() < end:
        found += [message for message in consumer.consume(count, timeout=1) if message.error() is None]
    consumer.close()
    return found


def test_kafka_commits_what_is_durable_and_nothing_else(kafka: str) -> None:
    """Catches: an offset that is committed before its event is stored, a message that is dropped because it does not
    fit, or that keeps what follows from coming.
    """
    produce(kafka, QUEUE.name, told(1), b"no json", told(2), json.dumps({"kind": "sale", "id": 3}).encode(), told(4))
    refusing = Keeping({"4"}, refuses={2})
    with following(QUEUE, kafka, refusing) as errors:
        ended(errors)
    assert isinstance(errors[0], NotStoredError)
    assert committed(kafka) == 0
    keeping = Keeping({"1", "2", "4"})
    with following(QUEUE, kafka, keeping) as errors:
        assert keeping.full.wait(WAIT)
    assert errors == []
    assert keeping.kept == ["1", "2", "4"]
    assert committed(kafka) == 5
    refused = taken_from(kafka, f"{QUEUE.name}.refused", 2)
    assert {message.value() for message in refused} >= {b"no json"}
    assert {dict(message.headers())[REASON].decode() for message in refused} >= {"the body is no JSON"}


# RabbitMQ


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server of its own; skipped where there is none on this machine."""
    program = shutil.which("rabbitmq-server")
    if program is None:
        pytest.skip("rabbitmq-server is not on PATH")
    inner = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # Debian's wrapper would become another user
    folder = tmp_path_factory.mktemp("rabbitmq")
    port, distribution, names = free_port(), free_port(), str(free_port())
    variables = {
        **os.environ,
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"c4-test-{os.getpid()}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONFIG_FILE": str(folder / "none"),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": names,  # a name server of its own, which may be ended with it
        "ERL_EPMD_RELAXED_COMMAND_CHECK": "1",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1",
    }
    log = (folder / "out").open("wb")
    command = [str(inner if inner.exists() else program)]
    process = subprocess.Popen(command, env=variables, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    url = f"amqp://guest:guest@127.0.0.1:{port}/%2F?connection_attempts=1"
    try:
        end = time.monotonic() + 4 * WAIT
        while not answers(url):
            assert process.poll() is None, (folder / "out").read_text("utf-8", "replace")[-2000:]
            assert time.monotonic() < end, "rabbitmq-server does not answer"
            threading.Event().wait(0.2)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        subprocess.run(["epmd", "-port", names, "-kill"], env=variables, capture_output=True, check=True)
        log.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def answers(url: str) -> bool:
    try:
        pika.BlockingConnection(pika.URLParameters(url)).close()
    except (pika.exceptions.AMQPError, OSError):
        return False
    return True


@contextlib.contextmanager
def channel(url: str) -> Iterator[Any]:
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        yield connection.channel()


def publish(url: str, name: str, *contents: bytes) -> None:
    with channel(url) as opened:
        opened.queue_declare(name, durable=True)
        opened.confirm_delivery()
        for content in contents:
            opened.basic_publish("", name, content, mandatory=True)


def waiting(url: str, name: str) -> int:
    with channel(url) as opened:
        return opened.queue_declare(name, passive=True).method.message_count


def test_rabbitmq_acknowledges_what_is_durable_and_nothing_else(rabbitmq: str) -> None:
    """Catches: an acknowledgement before the event is stored, a message that is dropped because it does not
    fit, or that comes again for ever.
    """
    queue = msgspec.structs.replace(QUEUE, broker="rabbitmq")
    publish(rabbitmq, queue.name, told(1), b"no json", told(2), told(4))
    with following(queue, rabbitmq, Keeping({"4"}, refuses={2})) as errors:
        ended(errors)
    assert isinstance(errors[0], NotStoredError)
    keeping = Keeping({"2", "4"})  # the first was durable, and acknowledged
    with following(queue, rabbitmq, keeping) as errors:
        assert keeping.full.wait(WAIT)
    assert errors == []
    assert keeping.kept == ["2", "4"]
    assert waiting(rabbitmq, queue.name) == 0
    with channel(rabbitmq) as opened:
        _, properties, body = opened.basic_get(f"{queue.name}.refused", auto_ack=True)
    assert (body, properties.headers[REASON]) == (b"no json", "the body is no JSON")


def test_a_broker_that_does_not_let_us_in_is_told(rabbitmq: str) -> None:
    """Catches: wrong credentials tried for ever without a word; a password in an error."""
    for url in (rabbitmq.replace("guest:guest", "guest:wrong"), rabbitmq):
        with following(msgspec.structs.replace(QUEUE, broker="rabbitmq", name="none"), url, Keeping(set())) as errors:
            ended(errors)
        assert isinstance(errors[0], AccessError)
        assert "wrong" not in str(errors[0])


# A whole way


@dataclass(slots=True)
class Counting(LineKeeper):
    """The keeper itself; `full` when so many messages are durable."""

    left: int = 0
    full: threading.Event = field(default_factory=threading.Event)

    def store(self, message: Message) -> Future[bool]:
        stored = LineKeeper.store(self, message)
        stored.add_done_callback(self._count)
        return stored

    def _count(self, _: Future[bool]) -> None:
        self.left -= 1
        if not self.left:
            self.full.set()


@pytest.mark.parametrize("broker", ["kafka", "rabbitmq"])
def test_sales_of_a_broker_are_those_of_the_till(broker: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Catches: an event of a broker that becomes another row than the pull's, or that doubles when it comes again."""
    url = request.getfixturevalue(broker)
    made = Company.build(outlets=3, days=1, start=FIRST_DAY, checks_per_day=6, pos=("toast",))
    with Stand.open(tmp_path, ["toast"], made=made, days=1) as stand:
        queue = {
            "broker": broker,
            "name": "orders",
            "event_type": "eventType",
            "event_id": "guid",
            "outlet": "details.restaurantGuid",
            "object_key": "details.order.guid",
            "sent_at": "timestamp",
            "events": {"order_updated": {"stream": "orders", "record": "details.order"}},
        }
        stand.configure({}, queue=queue)
        bodies = [event.body for event in stand.running.sandbox("toast").webhooks(LONG_AGO, stand.now)]
        {"kafka": produce, "rabbitmq": publish}[broker](url, "orders", *bodies, *bodies[:5])
        platform = stand.platform()
        (account,) = platform.integrations("toast")
        credentials = {**platform.ops.credentials(account.integration_id), "broker_url": url}
        platform.ops.set_credentials(account.integration_id, credentials, who="test")
        (name,) = lines(platform, account)
        inbox = platform.ops.inbox
        keeper = Counting(platform, inbox, account, name, lambda: None, lambda _: None, left=len(bodies) + 5)
        with following(account.queue, url, keeper) as errors:
            assert keeper.full.wait(WAIT)
        inbox.close()
        assert errors == []
        assert sum(platform.ops.inbox.count("received").values()) == len(set(bodies)) > 10
        (report,) = load_waiting(platform, platform.ops.inbox, limit=10_000, sleep=no_sleep)
        assert not report.error
        assert report.states["loaded"] > 10
        ours = [made.outlet(outlet_id) for outlet_id in stand.running.sandbox("toast").outlets().values()]
        truth = made.truth(stand.now, ours).values()
        sales = [c for c in staged(stand, "checks") if c["check_type"] == "sale" and not c["is_voided"]]
        assert len(sales) == sum(day.checks for day in truth)
        assert sum(check["gross_sales"] for check in sales) == sum(day.gross_sales for day in truth)
