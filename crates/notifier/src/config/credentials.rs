//! Resolves a target's URL, signing secrets and token; the file only names the variables or files that hold them.

use std::ops::Range;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};
use toml::Spanned;
use url::Url;
use webhook::split_secrets;

use super::check::Check;
use super::problem::{At, Problem};
use super::read_secret::SecretRef;
use super::table::{KindName, TargetTable};
use crate::endpoint::Credentials;
use crate::signing::{KeyError, Signer};

impl Check<'_> {
    pub(super) fn url(&self, table: &TargetTable) -> Result<Url, At> {
        let (key, span, text) = match (&table.url, &table.url_env, &table.url_file) {
            (Some(url), None, None) => {
                if matches!(table.kind, KindName::Slack | KindName::Discord) {
                    let text = "this URL is a secret: use url_env or url_file to name the variable or file that holds it";
                    return Err(self.wrong(url.span(), "url", text));
                }
                ("url", url.span(), SecretString::from(url.get_ref().as_str()))
            }
            (None, Some(variable), None) => ("url_env", variable.span(), self.variable("url_env", variable)?),
            (None, None, Some(file)) => ("url_file", file.span(), self.file("url_file", file)?),
            (None, None, None) => {
                let text = "is missing: set url, or url_env or url_file if the URL is a secret";
                return Err(self.wrong(self.table.clone(), "url", text));
            }
            _ => {
                return Err(self.wrong(
                    self.table.clone(),
                    "url",
                    "set exactly one of url, url_env and url_file",
                ));
            }
        };
        let url = Url::parse(text.expose_secret().trim()).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let Some(url) = url else {
            return Err(self.wrong(span, key, "must be a URL that starts with http:// or https://"));
        };
        if !url.username().is_empty() || url.password().is_some() {
            let text = "must not contain a user name or password: send them in a header with token_header and token_env";
            return Err(self.wrong(span, key, text));
        }
        Ok(url)
    }

    pub(super) fn credentials(&self, table: &TargetTable) -> Result<Credentials, At> {
        let mut secrets: Vec<(String, Range<usize>, SecretString)> = Vec::new();
        if let Some(names) = &table.secret_env {
            for name in &names.get_ref().0 {
                let secret = self.secret("secret_env", names.span(), SecretRef::Variable(name))?;
                secrets.push((name.clone(), names.span(), secret));
            }
        }
        if let Some(paths) = &table.secret_file {
            for path in &paths.get_ref().0 {
                let secret = self.secret("secret_file", paths.span(), SecretRef::File(Path::new(path)))?;
                secrets.push((path.clone(), paths.span(), secret));
            }
        }
        let token = self.token(table)?;
        match (table.kind, secrets.is_empty(), token) {
            (KindName::Slack | KindName::Discord, true, None) => Ok(Credentials::Url),
            (KindName::Slack | KindName::Discord, ..) => {
                let text = "Slack and Discord targets authenticate by their URL: remove secret_* and token_*";
                Err(self.wrong(self.table.clone(), "kind", text))
            }
            (_, true, Some(token)) => Ok(token),
            (_, false, None) => self.signer(&secrets),
            (_, true, None) => {
                let text = "is missing: set secret_env to the name of the variable that holds the signing secret \
                            (whsec_... or whsk_...), or set secret_file; set token_header for receivers that cannot \
                            verify signatures";
                Err(self.wrong(self.table.clone(), "secret_env", text))
            }
            (_, false, Some(_)) => {
                let text = "cannot be combined with secret_env or secret_file: set only one of them";
                Err(self.wrong(self.table.clone(), "token_header", text))
            }
        }
    }

    fn signer(&self, secrets: &[(String, Range<usize>, SecretString)]) -> Result<Credentials, At> {
        // Each source separately first, so that the error names it. One source may hold several keys.
        for (name, span, secret) in secrets {
            Signer::new(split_secrets(secret.expose_secret())).map_err(|error| {
                let problem = Problem::Key { name: name.clone(), error };
                self.problem(span.clone(), "secret_env", problem)
            })?;
        }
        let all: Vec<&str> =
            secrets.iter().flat_map(|(_, _, secret)| split_secrets(secret.expose_secret())).collect();
        Signer::new(all)
            .map(Credentials::Signature)
            .map_err(|error: KeyError| self.wrong(self.table.clone(), "secret_env", error.to_string()))
    }

    fn token(&self, table: &TargetTable) -> Result<Option<Credentials>, At> {
        let token = match (&table.token_env, &table.token_file) {
            (Some(variable), None) => self.variable("token_env", variable)?,
            (None, Some(file)) => self.file("token_file", file)?,
            (None, None) => match &table.token_header {
                None => return Ok(None),
                Some(header) => {
                    let text = "requires token_env or token_file, the variable or file that holds the token";
                    return Err(self.wrong(header.span(), "token_header", text));
                }
            },
            (Some(variable), Some(_)) => {
                let text = "cannot be combined with token_file: set only one of them";
                return Err(self.wrong(variable.span(), "token_env", text));
            }
        };
        let Some(header) = &table.token_header else {
            let text =
                "is missing: set the header that carries the token, such as authorization or x-api-key";
            return Err(self.wrong(self.table.clone(), "token_header", text));
        };
        Ok(Some(Credentials::Token { header: header.get_ref().clone(), token }))
    }

    fn variable(&self, key: &str, name: &Spanned<String>) -> Result<SecretString, At> {
        self.secret(key, name.span(), SecretRef::Variable(name.get_ref()))
    }

    fn file(&self, key: &str, path: &Spanned<String>) -> Result<SecretString, At> {
        self.secret(key, path.span(), SecretRef::File(Path::new(path.get_ref())))
    }

    fn secret(&self, key: &str, span: Range<usize>, secret_ref: SecretRef<'_>) -> Result<SecretString, At> {
        (self.read_secret)(secret_ref).map_err(|problem| self.problem(span, key, Problem::NoSecret(problem)))
    }
}
