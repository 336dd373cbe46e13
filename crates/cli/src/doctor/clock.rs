//! The clocks: this machine's against Redis's and against OpenAI's. Webhooks are refused when they seem too old or too
//! new.

use webhook::TOLERANCE_SECS;

use super::findings::{Check, Finding};

/// What a network and the whole seconds of a header may amount to, and much more.
const AHEAD_SECS_FEW: i64 = 30;
/// Half of what a webhook may be off: the other half is OpenAI's to use up.
const AHEAD_SECS_MAX: i64 = TOLERANCE_SECS / 2;

const CURE: &str = "set it by the network: timedatectl set-ntp true";

/// By how much the others are ahead of this machine.
pub(super) fn judge(redis_secs: Option<i64>, openai_secs: Option<i64>) -> Vec<Finding> {
    let mut findings = Vec::new();
    match openai_secs {
        Some(secs) if secs.abs() >= AHEAD_SECS_MAX => {
            findings.push(Check::Clock.wrong(
                format!("it is {} OpenAI's: ingest refuses genuine webhooks as stale", off(secs)),
                CURE,
            ))
        }
        Some(secs) if secs.abs() >= AHEAD_SECS_FEW => {
            findings.push(Check::Clock.warning(format!("it is {} OpenAI's", off(secs)), CURE));
        }
        Some(_) | None => {}
    }
    if let Some(secs) = redis_secs
        && secs.abs() >= AHEAD_SECS_FEW
    {
        let what = format!("it is {} Redis's: ages and retries are shown wrong", off(secs));
        findings.push(Check::Clock.warning(what, "set both by the network: timedatectl set-ntp true"));
    }
    if !findings.is_empty() {
        return findings;
    }
    let compared = match (redis_secs, openai_secs) {
        (Some(_), Some(_)) => "it agrees with Redis's and OpenAI's",
        (Some(_), None) => "it agrees with Redis's; OpenAI's is not known",
        (None, Some(_)) => "it agrees with OpenAI's; Redis's is not known",
        (None, None) => {
            let cure = "mend what keeps Redis and the API from answering, then check again";
            return vec![Check::Clock.warning("there is no other to compare it with", cure)];
        }
    };
    vec![Check::Clock.ok(compared)]
}

/// `601 s behind`
fn off(ahead_secs: i64) -> String {
    let direction = if ahead_secs > 0 { "behind" } else { "ahead of" };
    format!("{} s {direction}", ahead_secs.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(redis_secs: Option<i64>, openai_secs: Option<i64>) -> Vec<(bool, bool)> {
        judge(redis_secs, openai_secs).iter().map(|finding| (finding.is_ok(), finding.is_wrong())).collect()
    }

    #[test]
    fn a_clock_is_judged_by_how_far_it_is_off() {
        const OK: (bool, bool) = (true, false);
        const WARNING: (bool, bool) = (false, false);
        const WRONG: (bool, bool) = (false, true);
        assert_eq!(states(Some(0), Some(2)), [OK]);
        assert_eq!(states(Some(-29), None), [OK]);
        assert_eq!(states(Some(0), Some(-40)), [WARNING]);
        assert_eq!(states(Some(600), Some(600)), [WRONG, WARNING]);
        assert_eq!(states(None, Some(-150)), [WRONG]);
        assert_eq!(states(None, None), [WARNING]);
    }

    #[test]
    fn the_direction_is_that_of_this_machines_clock() {
        assert_eq!((off(601), off(-601)), ("601 s behind".to_owned(), "601 s ahead of".to_owned()));
    }
}
