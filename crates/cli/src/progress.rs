//! Progress bars on stderr, if that is a terminal.

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::output;

/// Shows count, total, rate and time left. `hidden` for `--json`.
pub(crate) fn bar(total: u64, hidden: bool) -> ProgressBar {
    with_template("{bar:30} {human_pos}/{human_len}  {rate}  {eta} left", total, hidden)
}

/// A bar with another template. In addition to indicatif's keys, `{rate}` is the rate in whole numbers.
pub(crate) fn with_template(template: &str, total: u64, hidden: bool) -> ProgressBar {
    if hidden {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template).expect("the template is well-formed");
    let style = style.with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // A failure to draw the bar is harmless.
        let _ = write!(out, "{}", rate(state.per_sec()));
    });
    ProgressBar::new(total).with_style(style)
}

/// `7,894/s`
fn rate(per_sec: f64) -> String {
    format!("{}/s", output::count(per_sec.round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_whole_number() {
        assert_eq!(
            [0.0, 0.4, 7_894.739_8, f64::INFINITY].map(rate)[..3],
            ["0/s", "0/s", "7,895/s"].map(String::from)
        );
    }
}
