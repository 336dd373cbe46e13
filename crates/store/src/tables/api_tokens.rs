//! The table `api_tokens`.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};

use super::upsert::insert;
use crate::api_token::ApiToken;
use crate::columns::Record as _;
use crate::database::WriteTransaction;
use crate::error::StoreError;
use crate::schema::API_TOKENS;
use crate::store::Store;
use crate::value::Value;

static INSERT: LazyLock<String> =
    LazyLock::new(|| insert(&API_TOKENS, ApiToken::COLUMNS) + " ON CONFLICT (name) DO NOTHING");

/// Tokens of the console's API.
impl Store {
    /// Stores a new token. Returns whether it was stored: a name is used only once, so that the name of a revoked token
    /// never means another one.
    pub async fn add_token(&self, token: &ApiToken) -> Result<bool, StoreError> {
        let steps = async |transaction: &mut WriteTransaction| {
            transaction.execute(INSERT.as_str(), &token.values()).await.map(|added| added == 1)
        };
        self.database.write("store a token", steps).await
    }

    /// All tokens, revoked ones too, by name.
    pub async fn tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        self.database
            .read("read the tokens", "SELECT * FROM api_tokens ORDER BY name", &[], ApiToken::read)
            .await
    }

    /// The valid token with this SHA-256 (lower-case hex).
    pub async fn token_with_hash(&self, sha256: &str) -> Result<Option<ApiToken>, StoreError> {
        let select = "SELECT * FROM api_tokens WHERE sha256 = $1 AND revoked_at IS NULL";
        Ok(self.database.read("check a token", select, &[Value::text(sha256)], ApiToken::read).await?.pop())
    }

    /// Revokes a token. Returns whether a valid token had this name.
    pub async fn revoke_token(&self, name: &str, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let update = "UPDATE api_tokens SET revoked_at = $1 WHERE name = $2 AND revoked_at IS NULL";
        let values = [Value::time(now), Value::text(name)];
        let steps = async |transaction: &mut WriteTransaction| {
            transaction.execute(update, &values).await.map(|revoked| revoked == 1)
        };
        self.database.write("revoke a token", steps).await
    }
}
