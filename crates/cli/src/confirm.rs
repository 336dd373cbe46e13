//! Confirmation before anything is deleted: for many rows the user types their number. Without a terminal nothing is
//! deleted unless `--yes` is given.

use std::io::{self, IsTerminal as _, Write as _};

use crate::exit::Failure;
use crate::screen;

/// At a terminal, so many are deleted without a question.
pub(crate) const FEW: u64 = 100;

/// Whether the deletion of so many `things` may begin.
///
/// # Errors
/// [`Failure::WrongUse`] without `--yes` where there is no terminal to ask at.
pub(crate) fn deletion(count: u64, things: &str, yes: bool) -> Result<bool, Failure> {
    if yes {
        return Ok(true);
    }
    let shown = screen::count(count);
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(Failure::WrongUse(format!(
            "{shown} {things} would be deleted for good, and there is no terminal to ask at: add --yes to delete \
             them, or --dry-run to see what would go"
        )));
    }
    if count <= FEW {
        return Ok(true);
    }
    eprint!("{shown} {things} will be deleted for good. Type {count} to delete them: ");
    io::stderr().flush()?;
    let mut typed = String::new();
    io::stdin().read_line(&mut typed)?;
    let confirmed = is_count(&typed, count);
    if !confirmed {
        eprintln!("landfall: nothing was deleted");
    }
    Ok(confirmed)
}

/// With or without commas.
fn is_count(typed: &str, count: u64) -> bool {
    typed.trim() == count.to_string() || typed.trim() == screen::count(count)
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
