"""A typical Python receiver: verify with the official SDK, deduplicate, enqueue in Redis, acknowledge."""

import os

import redis.asyncio as redis
from fastapi import FastAPI, Request, Response
from openai import AsyncOpenAI, InvalidWebhookSignatureError

client = AsyncOpenAI(api_key="sk-unused", webhook_secret=os.environ["OPENAI_WEBHOOK_SECRET"])
store = redis.from_url(os.environ["REDIS_URL"])
with open(os.environ["ENQUEUE_LUA"], encoding="utf-8") as script:
    enqueue = store.register_script(script.read())
app = FastAPI()


@app.post("/openai/webhook")
async def receive(request: Request):
    body = await request.body()
    try:
        event = client.webhooks.unwrap(body, request.headers)
    except InvalidWebhookSignatureError:
        return Response("Invalid signature", status_code=400)
    webhook_id = request.headers["webhook-id"]
    await enqueue(keys=[f"seen:{webhook_id}", "openai:events"], args=[86400, webhook_id, event.type, body])
    return {"received": True}
