// A typical Node receiver: verify with the official SDK, deduplicate, enqueue in Redis, acknowledge.
import fs from "node:fs";
import express from "express";
import Redis from "ioredis";
import OpenAI from "openai";

const client = new OpenAI({ apiKey: "sk-unused", webhookSecret: process.env.OPENAI_WEBHOOK_SECRET });
const redis = new Redis(process.env.REDIS_URL);
redis.defineCommand("enqueue", { numberOfKeys: 2, lua: fs.readFileSync(process.env.ENQUEUE_LUA, "utf8") });

const app = express();
app.use(express.text({ type: "application/json", limit: "2mb" }));
app.post("/openai/webhook", async (request, response) => {
  try {
    const event = await client.webhooks.unwrap(request.body, request.headers);
    const id = request.headers["webhook-id"];
    await redis.enqueue(`seen:${id}`, "openai:events", 86400, id, event.type, request.body);
    response.json({ received: true });
  } catch (error) {
    if (error instanceof OpenAI.InvalidWebhookSignatureError) {
      response.status(400).send("Invalid signature");
    } else {
      response.status(500).send("Not stored");
    }
  }
});
app.listen(Number(process.env.PORT), "127.0.0.1");
