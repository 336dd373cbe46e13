//! Sessions of people who logged in with a password: a cookie that the console has signed. Nothing about it is stored.
//!
//! The key is the argon2id hash of the password, salted with random bytes of the database. So a new password ends all
//! sessions of its role, the database alone does not suffice to forge one, and a guess at the password cannot be checked
//! against a cookie without the database.

use actix_web::HttpRequest;
use actix_web::http::header;
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::OnceCell;

use crate::database::Database;
use crate::problem::ApiError;
use crate::role::Role;

/// Then one logs in again.
const LASTS: TimeDelta = TimeDelta::hours(12);
const COOKIE: &str = "landfall_session";
/// Browsers take a cookie of this name only over HTTPS and for exactly this host.
const COOKIE_OF_HTTPS: &str = "__Host-landfall_session";
const KEY_BYTES: usize = 32;

type Key = Hmac<Sha256>;

/// The settings `CONSOLE_PASSWORD` and `CONSOLE_VIEWER_PASSWORD`.
#[derive(Debug, Clone)]
pub(crate) struct Passwords {
    pub(crate) operator: Option<SecretString>,
    pub(crate) viewer: Option<SecretString>,
}

impl Passwords {
    pub(crate) fn is_any_set(&self) -> bool {
        self.operator.is_some() || self.viewer.is_some()
    }

    pub(crate) fn of(&self, role: Role) -> Option<&SecretString> {
        match role {
            Role::Operator => self.operator.as_ref(),
            Role::Viewer => self.viewer.as_ref(),
        }
    }

    /// The role that this password belongs to. Takes as long for a password that is nearly right as for any other.
    pub(crate) fn role(&self, given: &str) -> Option<Role> {
        let given = Sha256::digest(given);
        let is_of = |role: &Role| {
            let password = self.of(*role).map(|password| Sha256::digest(password.expose_secret()));
            password.is_some_and(|password| password.as_slice().ct_eq(given.as_slice()).into())
        };
        [Role::Operator, Role::Viewer].into_iter().find(is_of)
    }
}

/// Signs and checks sessions.
pub(crate) struct Sessions {
    pub(crate) passwords: Passwords,
    database: Database,
    /// The keys of the two roles, each made when it is first needed: that takes a moment, and the database.
    operator: OnceCell<Key>,
    viewer: OnceCell<Key>,
}

impl Sessions {
    pub(crate) fn new(passwords: Passwords, database: Database) -> Self {
        Self { passwords, database, operator: OnceCell::new(), viewer: OnceCell::new() }
    }

    /// A new session for someone who has proved the role.
    pub(crate) async fn begin(&self, role: Role, now: DateTime<Utc>) -> Result<String, ApiError> {
        let key = self.key(role).await?.ok_or(ApiError::NoLogin)?;
        Ok(sign(key, role, now))
    }

    /// The role of a session; `None` if it has ended or was never one.
    pub(crate) async fn role(&self, session: &str, now: DateTime<Utc>) -> Result<Option<Role>, ApiError> {
        let Some(claim) = Claim::parse(session) else { return Ok(None) };
        let key = self.key(claim.role).await?;
        Ok(key.filter(|key| claim.holds(key, now)).map(|_| claim.role))
    }

    /// `None` if the role has no password.
    async fn key(&self, role: Role) -> Result<Option<&Key>, ApiError> {
        let Some(password) = self.passwords.of(role) else { return Ok(None) };
        let cell = match role {
            Role::Operator => &self.operator,
            Role::Viewer => &self.viewer,
        };
        let make = async || {
            let secret = self.database.reader().await?.session_secret().await?;
            let secret = secret.filter(|secret| secret.len() == KEY_BYTES).ok_or(ApiError::NoSessionKey)?;
            let password = password.clone();
            let made = tokio::task::spawn_blocking(move || derive(&password, &secret));
            made.await.expect("only a panic ends it early")
        };
        cell.get_or_try_init(make).await.map(Some)
    }
}

fn derive(password: &SecretString, secret: &[u8]) -> Result<Key, ApiError> {
    let mut key = [0; KEY_BYTES];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default());
    argon2
        .hash_password_into(password.expose_secret().as_bytes(), secret, &mut key)
        .map_err(ApiError::SessionKey)?;
    Ok(Key::new_from_slice(&key).expect("a key may have any length"))
}

fn mac(key: &Key, role: Role, expires: i64) -> Key {
    let mut mac = key.clone();
    mac.update(format!("landfall session {role}.{expires}").as_bytes());
    mac
}

/// What a session says, true or not.
struct Claim {
    role: Role,
    /// Unix seconds.
    expires: i64,
    signature: Vec<u8>,
}

impl Claim {
    fn parse(session: &str) -> Option<Self> {
        let mut parts = session.split('.');
        let (role, expires, signature) = (parts.next()?, parts.next()?, parts.next()?);
        // Not `+1` or `01`: a session has one spelling.
        let number: i64 = expires.parse().ok().filter(|number: &i64| number.to_string() == expires)?;
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
        let claim = Self { role: role.parse().ok()?, expires: number, signature };
        parts.next().is_none().then_some(claim)
    }

    fn holds(&self, key: &Key, now: DateTime<Utc>) -> bool {
        self.expires > now.timestamp()
            && mac(key, self.role, self.expires).verify_slice(&self.signature).is_ok()
    }
}

/// A new session of this role.
fn sign(key: &Key, role: Role, now: DateTime<Utc>) -> String {
    let expires = (now + LASTS).timestamp();
    let signature = BASE64_URL_SAFE_NO_PAD.encode(mac(key, role, expires).finalize().into_bytes());
    format!("{role}.{expires}.{signature}")
}

/// The session that a browser sent.
pub(crate) fn of_request(request: &HttpRequest, is_https: bool) -> Option<&str> {
    let cookies = request.headers().get_all(header::COOKIE).filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|list| list.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == cookie_name(is_https)).map(|(_, value)| value)
}

/// The value of `Set-Cookie` that begins a session.
pub(crate) fn set_cookie(session: &str, is_https: bool) -> String {
    cookie(session, LASTS.num_seconds(), is_https)
}

/// The value of `Set-Cookie` that makes a browser forget its session.
pub(crate) fn delete_cookie(is_https: bool) -> String {
    cookie("", 0, is_https)
}

fn cookie(session: &str, max_age: i64, is_https: bool) -> String {
    let name = cookie_name(is_https);
    let secure = if is_https { "; Secure" } else { "" };
    format!("{name}={session}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}")
}

const fn cookie_name(is_https: bool) -> &'static str {
    if is_https { COOKIE_OF_HTTPS } else { COOKIE }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(password: &str, secret: u8) -> Key {
        derive(&SecretString::from(password), &[secret; KEY_BYTES]).unwrap()
    }

    #[test]
    fn the_key_depends_on_password_and_database() {
        let text = |key: Key| key.finalize().into_bytes().to_vec();
        let one = text(key("correct horse", 1));
        assert_eq!(one, text(key("correct horse", 1)));
        assert_ne!(one, text(key("correct horsf", 1)));
        assert_ne!(one, text(key("correct horse", 2)));
    }

    #[test]
    fn a_session_ends_after_twelve_hours() {
        let key = key("correct horse", 1);
        let start: DateTime<Utc> = "2026-11-30T20:15:00Z".parse().unwrap();
        let claim = Claim::parse(&sign(&key, Role::Viewer, start)).unwrap();
        let holds = |hours| claim.holds(&key, start + TimeDelta::hours(hours));
        assert_eq!([0, 11, 12, 13].map(holds), [true, true, false, false]);
        let promoted = Claim { role: Role::Operator, ..claim };
        assert!(!promoted.holds(&key, start));
    }

    #[test]
    fn a_session_has_one_spelling() {
        let signature = BASE64_URL_SAFE_NO_PAD.encode([7; 32]);
        assert!(Claim::parse(&format!("viewer.1795470486.{signature}")).is_some());
        for wrong in [
            String::new(),
            format!("viewer.1795470486.{signature}."),
            format!("viewer.+1795470486.{signature}"),
            format!("viewer.01795470486.{signature}"),
            format!("admin.1795470486.{signature}"),
            format!("viewer.1795470486.{signature}="),
            "viewer.1795470486.!".to_owned(),
        ] {
            assert!(Claim::parse(&wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_password_belongs_to_one_role() {
        let passwords = Passwords { operator: Some("secret".into()), viewer: Some("looks".into()) };
        assert_eq!(passwords.role("secret"), Some(Role::Operator));
        assert_eq!(passwords.role("looks"), Some(Role::Viewer));
        assert_eq!(["", "secre", "secret "].map(|wrong| passwords.role(wrong)), [None; 3]);
        let none = Passwords { operator: None, viewer: None };
        assert_eq!((none.role(""), none.is_any_set()), (None, false));
    }
}
