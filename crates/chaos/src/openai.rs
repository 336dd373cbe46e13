//! A fake OpenAI with faults: errors, rate limits, cut and invalid responses, objects that are not found at first, and
//! poison objects, which it always rejects.

use anyhow::Context as _;
use fake_openai::{FakeConfig, FakeOpenAi, Fault, FaultKind};
use serde_json::json;

use crate::event_plan::{Effect, EventPlan, POISON};

pub(crate) const API_KEY: &str = "sk-chaos";

pub(crate) async fn start() -> anyhow::Result<FakeOpenAi> {
    let config = FakeConfig { api_key: Some(API_KEY.to_owned()), ..FakeConfig::default() };
    let fake = FakeOpenAi::start(config).await.context("cannot start fake-openai")?;
    // The first matching fault applies, so poison is always rejected.
    fake.inject(Fault::always(FaultKind::Status(400), POISON));
    let rates = [
        (FaultKind::Status(500), 0.02),
        (FaultKind::Status(503), 0.01),
        (FaultKind::RateLimited { retry_after_secs: Some(1) }, 0.003),
        (FaultKind::RateLimitedMs { retry_after_ms: 300 }, 0.003),
        (FaultKind::CutBody, 0.02),
        (FaultKind::InvalidJson, 0.005),
        (FaultKind::Delay { ms: 50 }, 0.05),
    ];
    for (kind, rate) in rates {
        fake.inject(Fault::at_rate(kind, "", rate));
    }
    Ok(fake)
}

/// Creates the object that an event is about.
pub(crate) fn prepare(fake: &FakeOpenAi, plan: &EventPlan) {
    match &plan.effect {
        Effect::EventOnly | Effect::Dead => {}
        Effect::Response { id, text, late } => {
            if *late {
                fake.inject(Fault::times(FaultKind::Status(404), id, 1));
            }
            fake.add_response(json!({
                "id": id, "status": "completed", "created_at": 1_795_305_700, "model": "gpt-5.4-mini-2026-03-17",
                "error": null, "incomplete_details": null, "metadata": {},
                "output": [{
                    "id": format!("msg_{id}"), "type": "message", "status": "completed", "role": "assistant",
                    "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": text}],
                }],
            }));
        }
        Effect::Batch { id, lines } => fake.add_generated_batch(id, *lines),
    }
}
