// Checks fake-openai and the captured webhooks with OpenAI's Node client, in shorter form than the Python checks: it has no
// strict types, so objects are compared with the raw response. judge.py starts this script with a file of captured
// webhooks. It prints its counts and disagreements as JSON.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { isDeepStrictEqual } from "node:util";

const require = createRequire(`${process.env.NODE_PACKAGES}/`);
const { default: OpenAI, APIError, InvalidWebhookSignatureError, toFile } = require("openai");
const { version } = JSON.parse(readFileSync(`${process.env.NODE_PACKAGES}/node_modules/openai/package.json`));

// Configured from the environment.
const client = new OpenAI();
const control = process.env.OPENAI_BASE_URL.replace(/\/v1$/, "/_control");
const MODEL = "gpt-5.6-sol";

const counts = {};
const disagreements = [];
const count = (judged, number = 1) => { counts[judged] = (counts[judged] ?? 0) + number; };

async function judging(what, judge) {
  try {
    await judge();
  } catch (error) {
    disagreements.push([what, `${error.name}: ${error.message}`]);
  }
}

function same(found, expected, what) {
  if (!isDeepStrictEqual(found, expected)) {
    throw new Error(`${what} differ:\n${JSON.stringify(found)}\n${JSON.stringify(expected)}`);
  }
}

async function ask(method, path, body) {
  const answer = await fetch(`${control}/${path}`, { method, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${method} ${path}: ${await answer.text()}`);
  return answer.json();
}

// The raw response of the API, without the client.
async function wire(path) {
  const headers = { authorization: `Bearer ${process.env.OPENAI_API_KEY}`, "openai-beta": "agents=v1" };
  const answer = await fetch(`${process.env.OPENAI_BASE_URL}${path}`, { headers });
  return Buffer.from(await answer.arrayBuffer());
}

const include = ["web_search_call.action.sources", "code_interpreter_call.outputs"];
const RETRIEVE = {
  response: ({ id }) => [client.responses.retrieve(id, { include }), `/responses/${id}?${include.map((part) => `include[]=${part}`).join("&")}`],
  batch: ({ id }) => [client.batches.retrieve(id), `/batches/${id}`],
  file: ({ id }) => [client.files.retrieve(id), `/files/${id}`],
  container: ({ id }) => [client.containers.retrieve(id), `/containers/${id}`],
  "container.file": ({ id, parent }) => [
    client.containers.files.retrieve(id, { container_id: parent }),
    `/containers/${parent}/files/${id}`,
  ],
  "fine_tuning.job": ({ id }) => [client.fineTuning.jobs.retrieve(id), `/fine_tuning/jobs/${id}`],
  model: ({ id }) => [client.models.retrieve(id), `/models/${id}`],
  "agent.session": ({ id }) => [client.beta.agents.sessions.retrieve(id), `/agents/sessions/${id}`],
  "safety.alert": ({ id }) => [client.safety.alerts.retrieve(id), `/safety/alerts/${id}`],
  eval: ({ id }) => [client.evals.retrieve(id), `/evals/${id}`],
  "eval.run": ({ id, parent }) => [client.evals.runs.retrieve(id, { eval_id: parent }), `/evals/${parent}/runs/${id}`],
};

async function judgeObjects(entries) {
  for (const entry of entries.filter(({ object }) => object in RETRIEVE)) {
    await judging(`${entry.object} ${entry.id}`, async () => {
      const [asked, path] = RETRIEVE[entry.object](entry);
      const { output_text: text, ...found } = await asked;
      const expected = JSON.parse(await wire(path));
      same(found, expected, "the response and the parsed object");
      if (entry.object === "response") same(text, outputText(expected), "output_text");
      count("OBJECTS");
    });
  }
}

function outputText(response) {
  const parts = response.output.filter(({ type }) => type === "message").flatMap(({ content }) => content);
  return parts.filter(({ type }) => type === "output_text").map(({ text }) => text).join("");
}

// Kind, kind of the parent, list function, page size.
const LISTS = [
  ["batch", null, (_, limit) => client.batches.list({ limit }), 2],
  ["file", null, (_, limit) => client.files.list({ limit }), 5],
  ["container", null, (_, limit) => client.containers.list({ limit }), 1],
  ["container.file", "container", (id, limit) => client.containers.files.list(id, { limit }), 1],
  ["fine_tuning.job", null, (_, limit) => client.fineTuning.jobs.list({ limit }), 1],
  ["fine_tuning.job.event", "fine_tuning.job", (job, limit) => client.fineTuning.jobs.listEvents(job, { limit }), 7],
  ["fine_tuning.job.checkpoint", "fine_tuning.job", (job, limit) => client.fineTuning.jobs.checkpoints.list(job, { limit }), 1],
  ["eval", null, (_, limit) => client.evals.list({ limit }), 1],
  ["eval.run", "eval", (id, limit) => client.evals.runs.list(id, { limit }), 1],
  // The client does not paginate models.
  ["model", null, () => client.models.list(), Infinity],
];

async function judgeLists(entries) {
  for (const [kind, parentKind, list, limit] of LISTS) {
    const parents = parentKind ? entries.filter(({ object }) => object === parentKind) : [{ id: null }];
    for (const { id: parent } of parents) {
      await judging(`the list of ${kind} ${parent ?? ""}`, async () => {
        const listed = entries.filter((entry) => entry.object === kind && (!parent || entry.parent === parent));
        const found = [];
        let pages = 0;
        for await (const page of (await list(parent, limit)).iterPages()) {
          pages += 1;
          found.push(...page.getPaginatedItems().map(({ id }) => id));
        }
        same(found.sort(), listed.map(({ id }) => id).sort(), "ids");
        same(pages, Math.max(1, Math.ceil(listed.length / limit)), "pages");
        if (!(kind in RETRIEVE)) count("OBJECTS", found.length);
        count("LISTS");
        count("PAGES", pages);
      });
    }
  }
}

async function judgeContents(entries) {
  for (const { id } of entries.filter(({ object }) => object === "file")) {
    await judging(`the content of ${id}`, async () => {
      const streamed = createHash("sha256");
      let length = 0;
      for await (const chunk of (await client.files.content(id)).body) {
        streamed.update(chunk);
        length += chunk.length;
      }
      const plain = createHash("sha256").update(await wire(`/files/${id}/content`));
      same(streamed.digest("hex"), plain.digest("hex"), "SHA-256");
      same(length, (await client.files.retrieve(id)).bytes, "bytes");
      count("FILES");
      count("BYTES", length);
    });
  }
}

async function judgeContainerContents(entries) {
  for (const { id, parent } of entries.filter(({ object }) => object === "container.file")) {
    await judging(`the content of ${id}`, async () => {
      const content = await client.containers.files.content.retrieve(id, { container_id: parent });
      const bytes = new Uint8Array(await content.arrayBuffer());
      same(bytes.length, (await client.containers.files.retrieve(id, { container_id: parent })).bytes, "bytes");
      count("FILES");
      count("BYTES", bytes.length);
    });
  }
}

// Fault, expected statuses, minimum wait in ms.
const RETRIED = [
  [{ rate_limited_ms: { retry_after_ms: 120 } }, [429, 200], 120],
  [{ status: 500 }, [500, 200], 0],
  [{ should_retry: { status: 400, should_retry: true } }, [400, 200], 0],
];

async function judgeRetries() {
  for (const [kind, statuses, waitedMsMin] of RETRIED) {
    await judging(JSON.stringify(kind), async () => {
      await ask("DELETE", "requests");
      await ask("POST", "faults", { kind, path_contains: MODEL, times: 1 });
      same((await client.models.retrieve(MODEL)).id, MODEL, "the final model");
      const requests = await ask("GET", "requests");
      same(requests.map(({ status }) => status), statuses, "statuses");
      const waitedMs = requests.at(-1).received_ms - requests[0].received_ms;
      if (waitedMs < waitedMsMin) throw new Error(`it waited ${waitedMs} ms instead of ${waitedMsMin}`);
      count("RETRIES");
    });
    await ask("DELETE", "faults");
  }
}

async function judgeRefusals() {
  const stranger = client.withOptions({ apiKey: "sk-wrong" });
  const refusals = [
    ["NotFoundError", 404, () => client.responses.retrieve("resp_none")],
    ["AuthenticationError", 401, () => stranger.batches.list()],
    ["BadRequestError", 400, () => client.batches.list({ limit: 1000 })],
  ];
  for (const [name, status, call] of refusals) {
    await judging(name, async () => {
      const error = await call().then(() => null, (error) => error);
      if (!(error instanceof APIError)) throw new Error(`it did not throw an APIError: ${error}`);
      same([error.constructor.name, error.status], [name, status], "errors");
      if (!error.requestID?.startsWith("req_")) throw new Error(`no request id: ${error.requestID}`);
      count("REFUSALS");
    });
  }
}

// Creates a response and a batch, and waits until they end.
async function judgeCreated() {
  const model = "gpt-6-luna";
  await judging("a response that it creates", async () => {
    const { id, status } = await client.responses.create({ model, input: "Which kit?", background: true });
    same(status, "queued", "status");
    const ended = await ending(() => client.responses.retrieve(id));
    same(ended.output_text, "fake-openai was asked: Which kit?", "output_text");
    count("CREATED");
  });
  await judging("a batch that it creates", async () => {
    const customIds = Array.from({ length: 25 }, (_, number) => `request-${number}`);
    const lines = customIds.map((custom_id) => JSON.stringify({
      custom_id, method: "POST", url: "/v1/responses", body: { model, input: custom_id },
    }));
    const file = await toFile(Buffer.from(`${lines.join("\n")}\n`), "requests.jsonl");
    const { id: input_file_id } = await client.files.create({ file, purpose: "batch" });
    const { id, status } = await client.batches.create({
      input_file_id, endpoint: "/v1/responses", completion_window: "24h",
    });
    same(status, "validating", "status");
    const ended = await ending(() => client.batches.retrieve(id));
    const output = await (await client.files.content(ended.output_file_id)).text();
    same(output.trim().split("\n").map((line) => JSON.parse(line).custom_id), customIds, "custom ids");
    count("CREATED");
  });
}

async function ending(retrieve) {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const found = await retrieve();
    if (found.status === "completed") return found;
    if (found.status === "failed" || Date.now() > deadline) throw new Error(`it did not end: ${JSON.stringify(found)}`);
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
}

async function judgeWebhooks({ genuine, forged }) {
  const bodyOf = (webhook) => Buffer.from(webhook.body_base64, "base64").toString();
  for (const webhook of genuine) {
    await judging(`webhook ${webhook.headers["webhook-id"]}`, async () => {
      const body = bodyOf(webhook);
      same(await client.webhooks.unwrap(body, webhook.headers), JSON.parse(body), "events");
      count("ACCEPTED");
    });
  }
  for (const webhook of forged) {
    await judging(`a forgery, ${JSON.stringify(webhook)}`, async () => {
      const error = await client.webhooks.unwrap(bodyOf(webhook), webhook.headers).then(() => null, (error) => error);
      if (!(error instanceof InvalidWebhookSignatureError)) throw new Error(`it was not rejected: ${error}`);
      count("REJECTED");
    });
  }
}

const entries = await ask("GET", "objects");
await judgeObjects(entries);
await judgeLists(entries);
await judgeContents(entries);
await judgeContainerContents(entries);
await judgeRetries();
await judgeRefusals();
await judgeCreated();
await judgeWebhooks(JSON.parse(readFileSync(process.argv[2], "utf8")));
const judge = `openai-node ${version}`;
console.log(JSON.stringify({ judge, counts, disagreements }));
