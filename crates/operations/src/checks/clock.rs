//! Compares this machine's clock with Redis's and OpenAI's. Ingest rejects webhooks whose timestamps are too far off.

use webhook::TOLERANCE_SECS;

use super::finding::{Check, Finding};

/// Well above network latency and the one-second resolution of headers.
const AHEAD_SECS_FEW: i64 = 30;
/// Half of a webhook's tolerance: the other half is left for delivery delays.
const AHEAD_SECS_MAX: i64 = TOLERANCE_SECS / 2;

const HINT: &str = "synchronize the clock with NTP: timedatectl set-ntp true";

/// Takes how far the other clocks are ahead of this machine's.
pub fn check(redis_secs: Option<i64>, openai_secs: Option<i64>) -> Vec<Finding> {
    let mut findings = Vec::new();
    match openai_secs {
        Some(secs) if secs.abs() >= AHEAD_SECS_MAX => findings.push(Check::Clock.wrong(
            format!("the clock is {} OpenAI's: ingest rejects genuine webhooks as stale", off(secs)),
            HINT,
        )),
        Some(secs) if secs.abs() >= AHEAD_SECS_FEW => {
            findings.push(Check::Clock.warning(format!("the clock is {} OpenAI's", off(secs)), HINT));
        }
        Some(_) | None => {}
    }
    if let Some(secs) = redis_secs
        && secs.abs() >= AHEAD_SECS_FEW
    {
        let what = format!("the clock is {} Redis's: ages and retry times are shown wrong", off(secs));
        findings
            .push(Check::Clock.warning(what, "synchronize both clocks with NTP: timedatectl set-ntp true"));
    }
    if !findings.is_empty() {
        return findings;
    }
    let compared = match (redis_secs, openai_secs) {
        (Some(_), Some(_)) => "the clock agrees with Redis's and OpenAI's",
        (Some(_), None) => "the clock agrees with Redis's; OpenAI's is unknown",
        (None, Some(_)) => "the clock agrees with OpenAI's; Redis's is unknown",
        (None, None) => {
            let hint = "fix the Redis and API errors, then run landfall doctor again";
            return vec![Check::Clock.warning("there is no other clock to compare with", hint)];
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
        check(redis_secs, openai_secs).iter().map(|finding| (finding.is_ok(), finding.is_wrong())).collect()
    }

    #[test]
    fn the_state_depends_on_the_difference() {
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
    fn the_difference_is_told_from_this_machines_point_of_view() {
        assert_eq!((off(601), off(-601)), ("601 s behind".to_owned(), "601 s ahead of".to_owned()));
    }
}
