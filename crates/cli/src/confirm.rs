//! Confirmation of deletions: to delete many rows, the user types their number. Without a terminal, `--yes` is required.

use std::io::{self, IsTerminal as _, Write as _};

use crate::exit::CliError;
use crate::output;

/// At a terminal, up to this many are deleted without a prompt.
pub(crate) const FEW: u64 = 100;

/// Asks whether to delete `count` `things`.
///
/// # Errors
/// [`CliError::Usage`] without `--yes` when there is no terminal to prompt at.
pub(crate) fn deletion(count: u64, things: &str, yes: bool) -> Result<bool, CliError> {
    if yes {
        return Ok(true);
    }
    let shown = output::count(count);
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(CliError::Usage(format!(
            "this would permanently delete {shown} {things}, and there is no terminal to confirm at: add --yes to \
             delete them, or --dry-run to list them"
        )));
    }
    if count <= FEW {
        return Ok(true);
    }
    eprint!("{shown} {things} will be permanently deleted. Type {count} to confirm: ");
    io::stderr().flush()?;
    let mut typed = String::new();
    io::stdin().read_line(&mut typed)?;
    let confirmed = is_count(&typed, count);
    if !confirmed {
        eprintln!("landfall: nothing was deleted");
    }
    Ok(confirmed)
}

/// Accepts the number with or without commas.
fn is_count(typed: &str, count: u64) -> bool {
    typed.trim() == count.to_string() || typed.trim() == output::count(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_number_itself_confirms() {
        assert!(is_count("70000\n", 70_000) && is_count(" 70,000 ", 70_000));
        for typed in ["", "\n", "y", "yes", "7000", "070000", "70.000", "7,0000"] {
            assert!(!is_count(typed, 70_000), "{typed:?}");
        }
    }
}
