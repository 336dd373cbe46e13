//! The options that select dead letters.

use operations::dead_letters::DeadLetterFilter;
use webhook::{Family, Reason};

/// Selects dead letters.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Filter {
    /// Only this family: response, batch, fine_tuning, eval, realtime, agent, safety, other
    #[arg(long)]
    family: Option<Family>,
    /// Only this reason, such as gave_up, rejected or crashed
    #[arg(long)]
    reason: Option<Reason>,
}

impl From<Filter> for DeadLetterFilter {
    fn from(Filter { family, reason }: Filter) -> Self {
        Self { family, reason }
    }
}
