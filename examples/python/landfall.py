"""The console of Landfall: awaits an object by its id."""

import json
import os
import time

import requests

URL = os.environ.get("LANDFALL_URL", "http://127.0.0.1:8090/api/v1")
# Needed unless the console listens on a loopback address: `landfall token new my-app`.
TOKEN = os.environ.get("LANDFALL_TOKEN")
HEADERS = {"Authorization": f"Bearer {TOKEN}"} if TOKEN else {}


def await_object(object_id):
    """The object as it is stored, once it is. Survives restarts of the console."""
    while True:
        try:
            answer = requests.get(f"{URL}/objects/{object_id}", params={"wait": 60}, headers=HEADERS, timeout=90)
        except (requests.ConnectionError, requests.Timeout):
            time.sleep(5)
            continue
        if answer.status_code == 202:  # not there yet: the next request waits again
            continue
        if answer.status_code in (429, 503):
            time.sleep(5)
            continue
        answer.raise_for_status()
        found = answer.json()
        if found["state"] != "stored":
            raise RuntimeError(f"{object_id} is lost: {found['state']}, {found['reason']}")
        return found["object"]


def results(batch_id):
    """The results of a batch, one after the other."""
    with requests.get(f"{URL}/batches/{batch_id}/results", headers=HEADERS, stream=True, timeout=90) as answer:
        answer.raise_for_status()
        yield from (json.loads(line) for line in answer.iter_lines())
