"""Receives Landfall's notifications, and verifies each one with the Standard Webhooks library."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["APP_SECRET"])  # the secret_env of the target in landfall.toml
handled = set()  # in your app: a table. A notification may come twice, always with the same webhook-id.


def handle(notification):
    found = notification["data"].get("object", {})
    print(notification["type"], found.get("id"), found.get("status"), flush=True)


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            notification = webhook.verify(body, dict(self.headers))
        except WebhookVerificationError:
            return self.answer(401)
        if self.headers["webhook-id"] not in handled:
            handle(notification)
            handled.add(self.headers["webhook-id"])
        self.answer(204)  # anything but a 2xx is sent again

    def answer(self, status):
        self.send_response(status)
        self.end_headers()


port = int(os.environ.get("PORT", "3000"))
with ThreadingHTTPServer(("127.0.0.1", port), Receiver) as server:
    print(f"listening on http://127.0.0.1:{port}", flush=True)
    server.serve_forever()
