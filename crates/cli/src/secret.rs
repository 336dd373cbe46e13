//! `landfall secret`: makes a signing secret for tests, says what is wrong with one without printing it, prints public
//! keys, and gives secrets to the users of docker-compose.yml.

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

use crate::exit::{Answer, Failure};

pub(crate) use random::new;

const EXAMPLES: &str = "\
Examples:
  export OPENAI_WEBHOOK_SECRET=$(landfall secret new)  for tests on this machine
  landfall secret check                                would ingest accept it?
  landfall secret public-key app                       verifies what app is sent

The secret of real webhooks is the one OpenAI shows when the webhook is made; it
cannot be chosen. Exit code of check: 0 well-formed, 1 not, 2 not set;
of public-key: 0 printed, 1 no such target or key, 2 wrong use.

docker-compose.yml runs `landfall secret install`; you need not.";

/// Make a signing secret, check the one that is set, print public keys, or hand secrets to containers
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Secret {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Print a new random secret, for tests and demos
    New,
    /// Say whether OPENAI_WEBHOOK_SECRET is well-formed, or what is wrong with it; it is never printed
    Check {
        #[command(flatten)]
        secret: WebhookSecretSettings,
    },
    PublicKey(public_key::PublicKey),
    Install(install::Install),
}

/// Makes or checks a secret.
pub(crate) fn run(args: &Secret, out: &mut dyn Write) -> Result<Answer, Failure> {
    match &args.action {
        Action::New => {
            keep_private();
            writeln!(out, "{}", new()?.expose_secret())?;
        }
        Action::Check { secret } => {
            let text = secret.secret()?;
            if let Err(error) = Verifier::from_setting(text.expose_secret()) {
                eprintln!("{} {error}", WebhookSecretSettings::NAME);
                return Ok(Answer::No);
            }
            writeln!(out, "{} is well-formed", WebhookSecretSettings::NAME)?;
        }
        Action::PublicKey(args) => return public_key::run(args, out),
        Action::Install(args) => return install::run(args),
    }
    Ok(Answer::Yes)
}

/// `landfall secret new >FILE`: the shell has just made the file, as its umask says, and often for all to read.
fn keep_private() {
    let Ok(stdout) = std::io::stdout().as_fd().try_clone_to_owned().map(File::from) else { return };
    let is_new = stdout.metadata().is_ok_and(|stdout| stdout.is_file() && stdout.len() == 0);
    if is_new {
        // A file system without modes is no reason to make no secret.
        stdout.set_permissions(Permissions::from_mode(0o600)).ok();
    }
}
