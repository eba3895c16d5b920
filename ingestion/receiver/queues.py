"""Consumers of a company's own brokers: messages of a queue (RabbitMQ) or a topic (Kafka) into the inbox.

A message is acknowledged, or its offset committed, when its event is durable. One that can never be read goes to the
queue or topic `<name>.refused`, with the reason in the header `c4-refused`, and is acknowledged when the broker has
confirmed that; so nothing is dropped and nothing blocks what follows. Whatever was not acknowledged comes again, and
the inbox knows it.

pika and confluent-kafka are optional: `pip install 'c4-data-platform[queues]'`.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ingestion.core.config import Queue
from ingestion.core.errors import AccessError, RetriableError
from ingestion.core.lines import Follow, Keeper, Message, NotStoredError
from ingestion.receiver.events import Refused, described, text

AT_ONCE = 500  # messages that share a commit
WAIT = 0.5  # seconds after which an idle consumer looks up
CONFIRM = 30.0  # seconds in which a broker must confirm
REASON = "c4-refused"  # header of a refused message

log = logging.getLogger(__name__)


def follower(queue: Queue, url: str) -> Follow:
    """What follows a queue. Raises AccessError where the URL or the broker's library is missing."""
    schemes = {"rabbitmq": ("amqp", "amqps"), "kafka": ("kafka", "kafkas")}[queue.broker]
    if urlsplit(url).scheme not in schemes:
        raise AccessError(
            f"queue {queue.name}: the credential 'broker_url' is not like {schemes[0]}://user:password@host"
        )
    return partial({"rabbitmq": _follow_rabbitmq, "kafka": _follow_kafka}[queue.broker], queue, url)


def read_message(queue: Queue, content: bytes) -> Message:
    """A message of the queue as an event. Raises Refused, which names the field but no value."""
    told = text(content, queue.event_type) if queue.event_type else next(iter(queue.events))
    return described(queue, told, content)


def _store(queue: Queue, keeper: Keeper, content: bytes) -> Future[bool] | str:
    """The event on its way into the inbox, or why it can never be one."""
    try:
        return keeper.store(read_message(queue, content))
    except Refused as refused:
        why = f"{refused.field}: {refused}" if refused.field else str(refused)
        log.warning("queue %s: a message is refused: %s", queue.name, why)
        return why


# RabbitMQ


def _follow_rabbitmq(queue: Queue, url: str, keeper: Keeper, stop: threading.Event) -> None:
    """Raises RetriableError when the connection ends, AccessError where the broker does not let us in."""
    pika = _library("pika")
    errors = pika.exceptions
    try:
        parameters = pika.URLParameters(url)
        parameters.socket_timeout = parameters.blocked_connection_timeout = CONFIRM
        with contextlib.closing(pika.BlockingConnection(parameters)) as connection:
            _consume(pika, connection.channel(), queue, keeper, stop)
    except (errors.ProbableAuthenticationError, errors.ProbableAccessDeniedError, errors.AuthenticationError) as error:
        raise AccessError(f"queue {queue.name}: the broker does not accept the credentials") from error
    except errors.ChannelClosedByBroker as error:  # no such queue, or no permission
        raise AccessError(f"queue {queue.name}: the broker refuses ({error.reply_code})") from error
    except (errors.AMQPError, OSError) as error:
        raise RetriableError(f"queue {queue.name}: the connection ended ({type(error).__name__})") from error


def _consume(pika: Any, channel: Any, queue: Queue, keeper: Keeper, stop: threading.Event) -> None:
    channel.basic_qos(prefetch_count=AT_ONCE)
    channel.confirm_delivery()
    waiting: list[tuple[int, bytes, Any, Future[bool] | str]] = []

    def take(_: Any, method: Any, properties: Any, body: bytes) -> None:
        waiting.append((method.delivery_tag, body, properties, _store(queue, keeper, body)))

    channel.basic_consume(queue.name, take)
    keeper.heard()
    while not stop.is_set():
        channel.connection.process_data_events(time_limit=WAIT)
        settled, waiting[:] = list(waiting), []
        for tag, body, properties, outcome in settled:
            if isinstance(outcome, str):
                channel.queue_declare(_refused(queue), durable=True)
                properties.headers = {**(properties.headers or {}), REASON: outcome}
                properties.delivery_mode = pika.DeliveryMode.Persistent.value
                channel.basic_publish("", _refused(queue), body, properties, mandatory=True)  # returns when confirmed
            else:
                outcome.result()  # what is not stored ends the connection, and comes again
            channel.basic_ack(tag)


# Kafka


def _follow_kafka(queue: Queue, url: str, keeper: Keeper, stop: threading.Event) -> None:
    """Raises RetriableError where the broker fails, AccessError where it does not let us in."""
    kafka = _library("confluent_kafka")
    own = {
        "group.id": queue.group,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    }
    settings = kafka_settings(url)
    consumer = kafka.Consumer({**settings, **own}, logger=log)
    producer = kafka.Producer({**settings, "acks": "all", "delivery.timeout.ms": int(CONFIRM * 1000)}, logger=log)
    try:
        consumer.subscribe([queue.name])
        while not stop.is_set():
            fetched = consumer.consume(AT_ONCE, timeout=WAIT)
            for message in fetched:
                if message.error() is not None:
                    raise kafka.KafkaException(message.error())
            if consumer.assignment():
                keeper.heard()
            if fetched:
                _settle(queue, keeper, producer, fetched)
                consumer.commit(offsets=list(_after(kafka, fetched)), asynchronous=False)
    except kafka.KafkaException as error:
        told = error.args[0]
        if told.code() in (kafka.KafkaError._AUTHENTICATION, kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED):
            raise AccessError(f"topic {queue.name}: the broker does not accept the credentials") from error
        raise RetriableError(f"topic {queue.name}: {told.name()}") from error
    finally:
        consumer.close()


def _settle(queue: Queue, keeper: Keeper, producer: Any, messages: Sequence[Any]) -> None:
    """Make every message durable: in the inbox or in the topic of refused ones. Raises NotStoredError."""
    outcomes = [(message, _store(queue, keeper, message.value() or b"")) for message in messages]
    failed: list[str] = []

    def confirmed(error: Any, _: Any) -> None:
        if error is not None:
            failed.append(error.name())

    for message, outcome in outcomes:
        if isinstance(outcome, str):
            headers = [*(message.headers() or []), (REASON, outcome.encode())]
            producer.produce(_refused(queue), message.value(), message.key(), headers=headers, on_delivery=confirmed)
        else:
            outcome.result()
    if producer.flush(CONFIRM) or failed:
        raise NotStoredError(f"refused messages were not confirmed {' '.join(failed[:1])}".strip())


def _after(kafka: Any, messages: Sequence[Any]) -> Iterator[Any]:
    """Of each partition the offset after the last of its messages."""
    last: dict[tuple[str, int], int] = {}
    for message in messages:
        last[message.topic(), message.partition()] = message.offset() + 1
    for (topic, partition), offset in last.items():
        yield kafka.TopicPartition(topic, partition, offset)


def kafka_settings(url: str) -> dict[str, str]:
    """librdkafka's settings of `kafka://user:password@host:port,host:port?setting=value`; `kafkas` is over TLS.

    The query may name any setting of librdkafka (`sasl.mechanism`, `ssl.ca.location`).
    """
    parts = urlsplit(url)
    account, _, hosts = parts.netloc.rpartition("@")
    user, _, password = account.partition(":")
    protocol = ("SASL_" if account else "") + ("SSL" if parts.scheme == "kafkas" else "PLAINTEXT")
    found = {"bootstrap.servers": hosts, "security.protocol": protocol}
    if account:
        found |= {"sasl.mechanism": "PLAIN", "sasl.username": unquote(user), "sasl.password": unquote(password)}
    return found | dict(parse_qsl(parts.query))


def _refused(queue: Queue) -> str:
    return f"{queue.name}.refused"


def _library(name: str) -> Any:
    """An optional dependency. Raises AccessError: a person must install it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise AccessError(f"{name} is missing: pip install 'c4-data-platform[queues]'") from None


__all__ = ["follower", "kafka_settings", "read_message"]
