// Creates a batch at OpenAI, awaits all of its results, and uses each one.

import OpenAI, { toFile } from "openai";
import { awaitObject, results } from "./landfall.mjs";

const questions = { kit: "Which kit is cheapest?", shop: "Which shop is nearest?" };
const lines = Object.entries(questions).map(([custom_id, input]) => JSON.stringify({
  custom_id, method: "POST", url: "/v1/responses", body: { model: "gpt-6-luna", input },
}));

const client = new OpenAI();
const file = await client.files.create({
  file: await toFile(Buffer.from(lines.join("\n")), "requests.jsonl"), purpose: "batch",
});
const created = await client.batches.create({
  input_file_id: file.id, endpoint: "/v1/responses", completion_window: "24h",
});
const batch = await awaitObject(created.id);
console.log(`${batch.status}: ${batch.rows_stored} results`);
for await (const { custom_id, status_code, body, error } of results(created.id)) {
  if (status_code !== 200) {
    console.log(`${custom_id}: failed, ${JSON.stringify(error ?? body)}`);
    continue;
  }
  const parts = body.output.flatMap(({ content }) => content ?? []);
  const text = parts.filter(({ type }) => type === "output_text").map(({ text }) => text).join("");
  console.log(`${custom_id}: ${text}`);
}
