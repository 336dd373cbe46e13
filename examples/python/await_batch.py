"""Creates a batch at OpenAI, awaits all of its results, and uses each one."""

import json

from openai import OpenAI

from landfall import await_object, results

questions = {"kit": "Which kit is cheapest?", "shop": "Which shop is nearest?"}
lines = [
    {"custom_id": name, "method": "POST", "url": "/v1/responses", "body": {"model": "gpt-6-luna", "input": question}}
    for name, question in questions.items()
]
requests_file = "\n".join(map(json.dumps, lines)).encode()

client = OpenAI()
file = client.files.create(file=("requests.jsonl", requests_file), purpose="batch")
created = client.batches.create(input_file_id=file.id, endpoint="/v1/responses", completion_window="24h")
batch = await_object(created.id)
print(f"{batch['status']}: {batch['rows_stored']} results")
for result in results(created.id):
    if result["status_code"] != 200:
        print(f"{result['custom_id']}: failed, {result['error'] or result['body']}")
        continue
    parts = [part for item in result["body"]["output"] for part in item.get("content", [])]
    print(f"{result['custom_id']}: {''.join(part['text'] for part in parts if part['type'] == 'output_text')}")
