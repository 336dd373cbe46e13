//! Event number n and its expected effect: a pure function of the seed, so that the load and the checker agree without
//! communication.

use fastrand::Rng;

/// OpenAI answers 400 for objects whose ids begin with this.
pub(crate) const POISON: &str = "resp_poison_";
/// Types with nothing to fetch: only the event is stored.
const PLAIN_TYPES: [&str; 7] = [
    "agent.environment.ready",
    "safety.warning_issued",
    "safety_identifier.blocked",
    "realtime.call.incoming",
    "live.transport.connected",
    "video.completed",
    "something.openai.invents.tomorrow",
];
const BATCH_LINES: std::ops::RangeInclusive<usize> = 1..=12;

/// One event.
pub(crate) struct EventPlan {
    pub(crate) webhook_id: String,
    pub(crate) body: Vec<u8>,
    pub(crate) effect: Effect,
}

/// What must be in the store in the end, in addition to the event's row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    EventOnly,
    Response {
        id: String,
        text: String,
        /// OpenAI answers the first request with 404.
        late: bool,
    },
    Batch {
        id: String,
        lines: usize,
    },
    /// Nothing: OpenAI rejects the request permanently, and the event must be a dead letter.
    Dead,
}

impl EventPlan {
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        let mut rng = Rng::with_seed(seed.rotate_left(32) ^ number);
        let (event_type, object_id, effect) = match rng.u32(..1000) {
            0..3 => ("response.completed", format!("{POISON}{number}"), Effect::Dead),
            3..23 => {
                let id = format!("batch_{number}");
                ("batch.completed", id.clone(), Effect::Batch { id, lines: rng.usize(BATCH_LINES) })
            }
            23..103 => {
                let id = format!("resp_{number}");
                let effect = Effect::Response {
                    id: id.clone(),
                    text: format!("answer {number}"),
                    late: rng.u32(..20) == 0,
                };
                ("response.completed", id, effect)
            }
            // Objects shared by many events.
            103..106 => ("fine_tuning.job.succeeded", "ftjob_demo_succeeded".to_owned(), Effect::EventOnly),
            106..109 => ("eval.run.succeeded", "evalrun_demo_succeeded".to_owned(), Effect::EventOnly),
            109..112 => ("", String::new(), Effect::EventOnly),
            112..115 => ("agent.session.idle", "asess_demo".to_owned(), Effect::EventOnly),
            115..118 => ("safety.alert.created", "alert_demo".to_owned(), Effect::EventOnly),
            _ => (PLAIN_TYPES[rng.usize(..PLAIN_TYPES.len())], format!("asess_{number}"), Effect::EventOnly),
        };
        let body = if event_type.is_empty() {
            // Signed, but not an event: stored anyway.
            format!("not JSON, number {number}")
        } else {
            format!(
                r#"{{"id":"evt_{number}","object":"event","created_at":1795305700,"type":"{event_type}","data":{{"id":"{object_id}"}}}}"#
            )
        };
        Self { webhook_id: format!("wh_{seed}_{number}"), body: body.into_bytes(), effect }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_always_gives_the_same_event_and_every_kind_occurs() {
        let effects: Vec<Effect> = (0..5000).map(|number| EventPlan::new(7, number).effect).collect();
        let again: Vec<Effect> = (0..5000).map(|number| EventPlan::new(7, number).effect).collect();
        assert!(effects == again);
        assert!(effects.contains(&Effect::Dead));
        assert!(effects.iter().any(|effect| matches!(effect, Effect::Batch { .. })));
        assert!(effects.iter().any(|effect| matches!(effect, Effect::Response { late: true, .. })));
    }
}
