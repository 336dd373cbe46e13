// Creates a background response at OpenAI, awaits it, and uses its text.

import OpenAI from "openai";
import { awaitObject } from "./landfall.mjs";

const client = new OpenAI(); // OPENAI_API_KEY, and OPENAI_BASE_URL for fake-openai
const created = await client.responses.create({ model: "gpt-6-luna", input: "Which kit is cheapest?", background: true });
const response = await awaitObject(created.id);
if (response.status !== "completed") throw new Error(`${created.id} is ${response.status}`);
console.log(response.output_text);
