"""The control API of fake-openai: its objects, its request log, faults, webhooks to send. Also plain reads, to compare with
the client's parsed responses."""

import json
import os
import urllib.request
from typing import NamedTuple


class Entry(NamedTuple):
    """One object of fake-openai."""

    object: str
    id: str
    parent: str | None


class Fake:
    def __init__(self):
        self.base_url = os.environ["OPENAI_BASE_URL"]
        self.control_url = self.base_url.removesuffix("/v1") + "/_control"

    def entries(self, *kinds: str, parent: str | None = None) -> list[Entry]:
        """The objects of these kinds, or only those of `parent`."""
        entries = [Entry(**entry) for entry in self._control("GET", "objects")]
        return [entry for entry in entries if entry.object in kinds and parent in (None, entry.parent)]

    def content(self, file_id: str) -> bytes:
        request = urllib.request.Request(f"{self.base_url}/files/{file_id}/content")
        request.add_header("authorization", f"Bearer {os.environ['OPENAI_API_KEY']}")
        with urllib.request.urlopen(request) as answer:
            return answer.read()

    def add_batch(self, batch_id: str, lines: int) -> None:
        self._control("POST", "batches", {"id": batch_id, "lines": lines})

    def inject(self, kind: object, path_contains: str, times: int) -> None:
        """Injects a fault into the next `times` requests."""
        self._control("POST", "faults", {"kind": kind, "path_contains": path_contains, "times": times})

    def clear(self) -> None:
        self._control("DELETE", "faults")
        self._control("DELETE", "requests")

    def requests(self) -> list[dict]:
        return self._control("GET", "requests")

    def send_to(self, url: str) -> None:
        """Sends the webhooks of jobs that are created to this receiver."""
        self._control("PUT", "settings", {"send_to": url, "end_after_ms": 200})

    def send(self, url: str, event_type: str, **settings) -> None:
        """Signs and sends a webhook as OpenAI does."""
        self._control("POST", "send", {"url": url, "type": event_type, "attempts_max": 1, **settings})

    def _control(self, method: str, path: str, body: object = None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.control_url}/{path}", data=data, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
