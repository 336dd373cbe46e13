// Receives Landfall's notifications, and verifies each one with the Standard Webhooks library.

import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

const webhook = new Webhook(process.env.APP_SECRET); // the secret_env of the target in landfall.toml
const handled = new Set(); // in your app: a table. A notification may come twice, always with the same webhook-id.

async function handle({ type, data }) {
  console.log(type, data.object?.id, data.object?.status);
}

async function receive(request, response) {
  const body = await text(request);
  let notification;
  try {
    notification = webhook.verify(body, request.headers);
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    return response.writeHead(401).end();
  }
  const id = request.headers["webhook-id"];
  if (!handled.has(id)) {
    await handle(notification);
    handled.add(id);
  }
  response.writeHead(204).end();
}

const port = Number(process.env.PORT ?? 3000);
const server = createServer((request, response) => {
  // Anything but a 2xx is sent again.
  receive(request, response).catch((error) => { console.error(error); response.writeHead(500).end(); });
});
server.listen(port, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${port}`));
