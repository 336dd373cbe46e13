// The console of Landfall: awaits an object by its id.

import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";

const url = process.env.LANDFALL_URL ?? "http://127.0.0.1:8090/api/v1";
// Needed unless the console listens on a loopback address: `landfall token new my-app`.
const token = process.env.LANDFALL_TOKEN;
const headers = token ? { authorization: `Bearer ${token}` } : {};

// The object as it is stored, once it is. Survives restarts of the console.
export async function awaitObject(id) {
  for (;;) {
    const answer = await fetch(`${url}/objects/${id}?wait=60`, { headers, signal: AbortSignal.timeout(90_000) })
      .catch(() => null);
    if (answer?.status === 202) { // not there yet: the next request waits again
      await answer.body?.cancel();
    } else if (answer === null || [429, 503].includes(answer.status)) {
      await sleep(5000);
    } else if (!answer.ok) {
      throw new Error(`${id}: ${answer.status} ${await answer.text()}`);
    } else {
      const found = await answer.json();
      if (found.state !== "stored") throw new Error(`${id} is lost: ${found.state}, ${found.reason}`);
      return found.object;
    }
  }
}

// The results of a batch, one after the other.
export async function* results(batchId) {
  const answer = await fetch(`${url}/batches/${batchId}/results`, { headers });
  if (!answer.ok) throw new Error(`${batchId}: ${answer.status} ${await answer.text()}`);
  for await (const line of createInterface({ input: Readable.fromWeb(answer.body) })) yield JSON.parse(line);
}
