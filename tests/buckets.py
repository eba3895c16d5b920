"""An S3 server for tests, on a real socket; what is in it ends with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import boto3
from moto.server import ThreadedMotoServer

ACCESS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "ap-southeast-3",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def server() -> Iterator[dict[str, str]]:
    """The environment of whoever is to use the server: its address and credentials that it takes."""
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    try:
        yield {**ACCESS, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    finally:
        running.stop()


def client(access: dict[str, str]) -> boto3.client:
    """AWS's own client of the server."""
    return boto3.client(
        "s3",
        endpoint_url=access["AWS_ENDPOINT_URL"],
        region_name=access["AWS_DEFAULT_REGION"],
        aws_access_key_id=access["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=access["AWS_SECRET_ACCESS_KEY"],
    )


def bucket(access: dict[str, str]) -> str:
    """The name of a new bucket."""
    name = f"c4-{uuid4().hex[:12]}"
    client(access).create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": access["AWS_DEFAULT_REGION"]}
    )
    return name
