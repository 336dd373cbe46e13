"""Creates a background response at OpenAI, awaits it, and uses its text."""

from openai import OpenAI

from landfall import await_object

client = OpenAI()  # OPENAI_API_KEY, and OPENAI_BASE_URL for fake-openai
created = client.responses.create(model="gpt-6-luna", input="Which kit is cheapest?", background=True)
response = await_object(created.id)
if response["status"] != "completed":
    raise SystemExit(f"{created.id} is {response['status']}")
print(response["output_text"])
