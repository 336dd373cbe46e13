//! `landfall secret`: generates a signing secret for tests, checks one without printing it, prints public keys, and
//! installs secrets for the containers of docker-compose.yml.

mod install;
mod public_key;
mod random;

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;

use secrecy::ExposeSecret as _;
use service::settings::WebhookSecretSettings;
use webhook::Verifier;

use crate::exit::{CliError, ExitStatus};

pub(crate) use random::{key, new};

const EXAMPLES: &str = "\
Examples:
  export OPENAI_WEBHOOK_SECRET=$(landfall secret new)  for local tests
  landfall secret check                                is the secret valid?
  landfall secret public-key app                       verifies v1a signatures

The secret of a real webhook is shown by OpenAI when you create the webhook; you
cannot choose it.

Exit codes of check: 0 well-formed, 1 malformed, 2 not set. Exit codes of
public-key: 0 printed, 1 no such target or key, 2 usage error.

docker-compose.yml runs `landfall secret install`; you do not need to.";

/// Signing secrets and public keys: generate, check, print, install for containers
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Secret {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Print a new random signing secret, for tests and demos
    New,
    /// Check that OPENAI_WEBHOOK_SECRET is well-formed, without printing it
    Check {
        #[command(flatten)]
        secret: WebhookSecretSettings,
    },
    PublicKey(public_key::PublicKey),
    Install(install::Install),
}

/// Runs one of the actions.
pub(crate) fn run(args: &Secret, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    match &args.action {
        Action::New => {
            keep_private();
            writeln!(out, "{}", new()?.expose_secret())?;
        }
        Action::Check { secret } => {
            let text = secret.secret()?;
            if let Err(error) = Verifier::from_setting(text.expose_secret()) {
                eprintln!("{} {error}", WebhookSecretSettings::NAME);
                return Ok(ExitStatus::Negative);
            }
            writeln!(out, "{} is well-formed", WebhookSecretSettings::NAME)?;
        }
        Action::PublicKey(args) => return public_key::run(args, out),
        Action::Install(args) => return install::run(args),
    }
    Ok(ExitStatus::Success)
}

/// For `landfall secret new >FILE`: the shell creates the file with the mode of its umask, often readable by all.
fn keep_private() {
    let Ok(stdout) = std::io::stdout().as_fd().try_clone_to_owned().map(File::from) else { return };
    let is_new = stdout.metadata().is_ok_and(|stdout| stdout.is_file() && stdout.len() == 0);
    if is_new {
        // A file system without modes is not an error.
        stdout.set_permissions(Permissions::from_mode(0o600)).ok();
    }
}
