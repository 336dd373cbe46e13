//! `landfall token`: tokens for the console's API. A token is printed once; the database has only its hash.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::Serialize;
use service::settings::StoreSettings;
use store::{ApiToken, TokenRole};
use webhook::MaybeKnown;

use crate::exit::{CliError, ExitStatus};
use crate::{json, output, printable, secret, store_client, time_format};

const EXAMPLES: &str = "\
Examples:
  landfall token new my-app                 a token that may read; printed once
  landfall token new ops --operator         one that may also redrive and replay
  landfall token list
  landfall token revoke my-app
  curl -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:8090/api/v1/events

Programs use a token to read from the console. Several are valid at once: give
each program its own, so that you can revoke one without the others.

Exit codes: 0 success, 1 no valid token has this name, or the name is taken,
3 the database could not be reached.";

/// Identifies a token in logs and in searches for leaked secrets.
const PREFIX: &str = "landfall_";

/// Tokens for the console's API: make, list, revoke
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Token {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a token and print it, once
    New {
        /// Says which program uses it, such as my-app
        #[arg(value_parser = name)]
        name: String,
        /// It may also redrive, discard, replay and fetch
        #[arg(long)]
        operator: bool,
        #[command(flatten)]
        store: StoreSettings,
    },
    /// List the tokens, revoked ones too
    List {
        /// Print one JSON object per token: name, role, created_at, revoked_at
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        store: StoreSettings,
    },
    /// Make a token invalid, from now on
    Revoke {
        name: String,
        #[command(flatten)]
        store: StoreSettings,
    },
}

/// One line of `list --json`.
#[derive(Serialize)]
struct Line {
    name: String,
    role: MaybeKnown<TokenRole>,
    created_at: DateTime<Utc>,
    revoked_at: Option<DateTime<Utc>>,
}

/// Runs one of the actions.
pub(crate) async fn run(args: &Token, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    match &args.action {
        Action::New { name, operator, store } => {
            let role = if *operator { TokenRole::Operator } else { TokenRole::Viewer };
            make(name, role, store, out).await
        }
        Action::List { json, store } => list(*json, store, out).await,
        Action::Revoke { name, store } => revoke(name, store, out).await,
    }
}

async fn make(
    name: &str,
    role: TokenRole,
    store: &StoreSettings,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret::key()?));
    let row = ApiToken {
        name: name.to_owned(),
        role: role.into(),
        sha256: ApiToken::sha256_of(&token),
        created_at: Utc::now(),
        revoked_at: None,
    };
    if !store_client::open(store).await?.add_token(&row).await? {
        eprintln!("landfall: a token named {name} exists already, or was revoked: choose another name");
        return Ok(ExitStatus::Negative);
    }
    writeln!(out, "{token}")?;
    eprintln!("landfall: made a token named {name}; it is not shown again");
    Ok(ExitStatus::Success)
}

async fn list(as_json: bool, store: &StoreSettings, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let tokens = store_client::open(store).await?.tokens().await?;
    let lines: Vec<Line> = tokens
        .into_iter()
        .map(|ApiToken { name, role, created_at, revoked_at, .. }| Line {
            name,
            role,
            created_at,
            revoked_at,
        })
        .collect();
    if as_json {
        json::write_lines(out, &lines)?;
    } else if lines.is_empty() {
        eprintln!("landfall: there are no tokens; make one with `landfall token new NAME`");
    } else {
        let row = |line: &Line| {
            let revoked = line.revoked_at.map_or_else(|| "-".to_owned(), time_format::utc);
            vec![line.name.clone(), line.role.to_string(), time_format::utc(line.created_at), revoked]
        };
        let heads = "NAME | ROLE | CREATED UTC | REVOKED UTC";
        write!(out, "{}", output::table(heads, lines.iter().map(row), output::width()))?;
    }
    Ok(ExitStatus::Success)
}

async fn revoke(name: &str, store: &StoreSettings, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    if store_client::open(store).await?.revoke_token(name, Utc::now()).await? {
        writeln!(out, "revoked {}", printable::one_line(name))?;
        return Ok(ExitStatus::Success);
    }
    eprintln!("landfall: no valid token is named {}; see `landfall token list`", printable::one_line(name));
    Ok(ExitStatus::Negative)
}

/// A name that needs no quoting anywhere.
fn name(name: &str) -> Result<String, String> {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
    if (1..=64).contains(&name.len()) && name.chars().all(is_plain) {
        Ok(name.to_owned())
    } else {
        Err("use 1 to 64 letters, digits, dots, dashes or underscores, such as my-app".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain() {
        assert_eq!(name("my-app_2.0").unwrap(), "my-app_2.0");
        for wrong in ["", "my app", "ä", &"x".repeat(65), "a\n"] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }
}
