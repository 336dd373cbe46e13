// Consumes notifications from the Redis stream of a target, and acknowledges each one when it is handled.

import { hostname } from "node:os";
import { createClient } from "redis";

const stream = "{landfall}:notifications:consumers"; // the target `consumers`, of the kind redis-stream
const [group, consumer] = ["my-app", hostname()];
const redis = await createClient({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379" }).connect();

async function handle({ type, data }) {
  console.log(type, data.object?.id, data.object?.status);
}

// Entries that another consumer read a minute ago and did not acknowledge; then new ones.
async function nextEntries() {
  const { messages } = await redis.xAutoClaim(stream, group, consumer, 60_000, "0-0", { COUNT: 10 });
  if (messages.length > 0) return messages;
  const read = await redis.xReadGroup(group, consumer, { key: stream, id: ">" }, { COUNT: 10, BLOCK: 5000 });
  return read?.[0].messages ?? [];
}

await redis.xGroupCreate(stream, group, "0", { MKSTREAM: true }).catch((error) => {
  if (!error.message.startsWith("BUSYGROUP")) throw error; // the group exists
});
for (;;) {
  for (const { id, message } of await nextEntries()) {
    await handle(JSON.parse(message.body));
    await redis.xAck(stream, group, id);
  }
}
