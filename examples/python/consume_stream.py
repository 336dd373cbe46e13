"""Consumes notifications from the Redis stream of a target, and acknowledges each one when it is handled."""

import json
import os
import socket

from redis import Redis, ResponseError

STREAM = "{landfall}:notifications:consumers"  # the target `consumers`, of the kind redis-stream
GROUP, CONSUMER = "my-app", socket.gethostname()
redis = Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"), decode_responses=True)


def handle(notification):
    found = notification["data"].get("object", {})
    print(notification["type"], found.get("id"), found.get("status"), flush=True)


def next_entries():
    """Entries that another consumer read a minute ago and did not acknowledge; then new ones."""
    _, entries, *_ = redis.xautoclaim(STREAM, GROUP, CONSUMER, min_idle_time=60_000, count=10)
    if entries:
        return entries
    read = redis.xreadgroup(GROUP, CONSUMER, {STREAM: ">"}, count=10, block=5000)
    return read[0][1] if read else []


try:
    redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
except ResponseError as error:
    if not str(error).startswith("BUSYGROUP"):  # the group exists
        raise
while True:
    for entry_id, fields in next_entries():
        handle(json.loads(fields["body"]))
        redis.xack(STREAM, GROUP, entry_id)
