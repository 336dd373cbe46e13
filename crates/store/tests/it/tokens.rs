//! Tokens of the console's API.

use store::{ApiToken, TokenRole};

use crate::fixture::Fixture;
use crate::samples::at;

fn token(name: &str, sha256: &str) -> ApiToken {
    ApiToken {
        name: name.to_owned(),
        role: TokenRole::Operator.into(),
        sha256: sha256.to_owned(),
        created_at: at(1),
        revoked_at: None,
    }
}

pub(crate) async fn a_token_is_valid_until_it_is_revoked_and_its_name_is_used_once(fixture: Fixture) {
    let store = &fixture.store;
    assert!(store.add_token(&token("ci", "aa")).await.unwrap());
    assert!(store.add_token(&token("app", "bb")).await.unwrap());
    assert!(!store.add_token(&token("ci", "cc")).await.unwrap(), "the name is taken");
    let found = store.token_with_hash("aa").await.unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.role.known()), ("ci", Some(TokenRole::Operator)));
    assert!(store.token_with_hash("cc").await.unwrap().is_none());

    assert!(store.revoke_token("ci", at(2)).await.unwrap());
    assert!(store.token_with_hash("aa").await.unwrap().is_none());
    assert!(!store.revoke_token("ci", at(3)).await.unwrap(), "it is revoked already");
    assert!(!store.revoke_token("no-such-token", at(3)).await.unwrap());
    assert!(!store.add_token(&token("ci", "dd")).await.unwrap(), "a revoked token keeps its name");
    let names: Vec<_> = store.tokens().await.unwrap().into_iter().map(|t| (t.name, t.revoked_at)).collect();
    assert_eq!(names, [("app".to_owned(), None), ("ci".to_owned(), Some(at(2)))]);
}
