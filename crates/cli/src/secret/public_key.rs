//! `landfall secret public-key`: prints the public keys that verify `v1a` signatures, never the private keys.

use std::io::Write;
use std::path::{Path, PathBuf};

use error_text::chain;
use notifier::{Credentials, Signer};
use serde::Serialize;
use service::settings::ConfigFileSettings;
use webhook::split_secrets;

use crate::exit::{CliError, ExitStatus};
use crate::{config, input, json, printable, targets};

/// Print the public keys (whpk_...) that verify a target's v1a signatures
#[derive(Debug, clap::Args)]
pub(super) struct PublicKey {
    /// Name of the target in landfall.toml, which says where its private keys (whsk_...) are
    #[arg(value_name = "TARGET", required_unless_present = "key_file")]
    target: Option<String>,
    /// File with a private key, instead of a target; - reads stdin
    #[arg(long, value_name = "PATH", conflicts_with = "target")]
    key_file: Option<PathBuf>,
    /// Print one JSON object: target, public_keys
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFileSettings,
}

/// `--json`.
#[derive(Serialize)]
struct Keys<'a> {
    target: Option<&'a str>,
    public_keys: Vec<String>,
}

/// Prints one key per line. Negative when there is no private ed25519 key.
pub(super) fn run(args: &PublicKey, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let target = args.target.as_deref();
    let public_keys = match (target, &args.key_file) {
        (Some(name), _) => {
            let config = config::of(&args.config)?;
            let Some(target) = config.targets.iter().find(|target| target.name == name) else {
                return Ok(targets::no_such_target(name));
            };
            match target.destination.http().map(|http| &http.credentials) {
                Some(Credentials::Signature(signer)) => signer.public_keys(),
                Some(Credentials::Token { .. } | Credentials::Url) | None => Vec::new(),
            }
        }
        (None, Some(path)) => of_file(path)?,
        (None, None) => unreachable!("clap requires one of them"),
    };
    let is_none = public_keys.is_empty();
    if args.json {
        json::write_line(out, &Keys { target, public_keys })?;
    } else {
        public_keys.iter().try_for_each(|key| writeln!(out, "{key}"))?;
    }
    if is_none {
        let whose = target.map_or_else(|| "the file".to_owned(), printable::one_line);
        eprintln!("landfall: {whose} has no ed25519 private key (whsk_...), so there is no public key");
        return Ok(ExitStatus::Negative);
    }
    Ok(ExitStatus::Success)
}

fn of_file(path: &Path) -> Result<Vec<String>, CliError> {
    let text = String::from_utf8_lossy(&input::read_or_stdin(path)?).into_owned();
    let signer = Signer::new(split_secrets(&text));
    let signer = signer.map_err(|error| CliError::Usage(format!("--key-file {}", chain(&error))))?;
    Ok(signer.public_keys())
}
