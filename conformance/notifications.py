"""Checks notifications to two targets, each with two secrets as during a rotation. OpenAI's client and the Standard Webhooks
library verify each one with both secrets, and every stored event must be notified."""

import json
import os
import time
import urllib.request
from pathlib import Path

from openai import InvalidWebhookSignatureError, OpenAI
from standardwebhooks import Webhook, WebhookVerificationError

from landfall import landfall
from signatures import STANDARD, Captured, Receiver, other_secret
from strict import NAME
from tally import Judged, Tally

# A worker checks its file every second.
KNOWN_SECS_MAX = 30
NOTIFIED_SECS_MAX = 60
PAYLOADS = {"conformance-thin": "thin", "conformance-full": "full"}


class Notifications:
    def __init__(self, client: OpenAI, tally: Tally):
        self.client = client
        self.tally = tally
        self.receivers = {target: Receiver() for target in PAYLOADS}
        self.secrets = {target: [other_secret(), other_secret()] for target in PAYLOADS}

    def begin(self) -> None:
        """Writes the targets to the worker's file, which it reloads."""
        config = Path(os.environ["LANDFALL_CONFIG"])
        tables = ['[notifications]\nallow = ["127.0.0.1"]\n']
        for target, receiver in self.receivers.items():
            secret_file = config.with_name(f"{target}.secret")
            secret_file.write_text(" ".join(self.secrets[target]))
            tables.append(
                f'[[targets]]\nname = "{target}"\nurl = "{receiver.url}/take"\n'
                f'secret_file = "{secret_file}"\npayload = "{PAYLOADS[target]}"\n'
            )
        # Atomically, so that the worker does not read a partial file.
        config.with_suffix(".new").write_text("".join(tables))
        config.with_suffix(".new").replace(config)
        wait_until(KNOWN_SECS_MAX, "the worker to load its targets", lambda: all(t in worker_metrics() for t in PAYLOADS))

    def judge(self) -> None:
        stored = {event["event_id"] for event in landfall("events", "--limit", "1000000") if event["state"] == "stored"}
        for target, receiver in self.receivers.items():
            received = {}

            def all_received() -> bool:
                for captured in list(receiver.captured):
                    received.setdefault(captured.event["data"]["event"]["id"], captured)
                return received.keys() >= stored

            with self.tally.judging("Landfall", f"the notifications to {target}"):
                wait_until(NOTIFIED_SECS_MAX, f"{target} to receive all notifications", all_received)
                if received.keys() != stored:
                    raise ValueError(f"notifications about events that are not stored: {received.keys() - stored}")
            for captured in received.values():
                for secret in self.secrets[target]:
                    self.accept(captured, secret)
            if received:
                self.reject(next(iter(received.values())), self.secrets[target][0])

    def accept(self, captured: Captured, secret: str) -> None:
        what = f"the notification {captured.headers['webhook-id']}"
        with self.tally.judging(NAME, what):
            self.client.webhooks.verify_signature(captured.body, captured.headers, secret=secret)
            event = self.client.webhooks.unwrap(captured.body, captured.headers, secret=secret)
            if event.type != captured.event["type"]:
                raise ValueError(f"unwrapped as {event.type}")
            self.tally.count(NAME, Judged.NOTIFIED)
        with self.tally.judging(STANDARD, what):
            if Webhook(secret).verify(captured.body, captured.headers) != captured.event:
                raise ValueError("it parses another body")
            self.tally.count(STANDARD, Judged.NOTIFIED)

    def reject(self, good: Captured, secret: str) -> None:
        """Checks that another key, another body and another id are rejected."""
        for forged, key in [
            (good, other_secret()),
            (good._replace(body=good.body.replace(b"_", b"-", 1)), secret),
            (good._replace(headers={**good.headers, "webhook-id": "ntf_another"}), secret),
        ]:
            for judge, rejection, verify in [
                (NAME, InvalidWebhookSignatureError, self.client.webhooks.verify_signature),
                (STANDARD, WebhookVerificationError, None),
            ]:
                try:
                    if verify:
                        verify(forged.body, forged.headers, secret=key)
                    else:
                        Webhook(key).verify(forged.body, forged.headers)
                except rejection:
                    self.tally.count(judge, Judged.REJECTED)
                else:
                    self.tally.disagree(judge, "a forged notification", f"it accepts {forged}")


def worker_metrics() -> str:
    with urllib.request.urlopen(f"{os.environ['WORKER_ADMIN_URL']}/metrics") as answer:
        return answer.read().decode()


def wait_until(secs_max: float, what: str, is_so) -> None:
    deadline = time.monotonic() + secs_max
    while not is_so():
        if time.monotonic() > deadline:
            raise RuntimeError(f"timed out after {secs_max} s waiting for {what}")
        time.sleep(0.1)
