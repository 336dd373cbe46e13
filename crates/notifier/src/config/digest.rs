//! A fingerprint of the file, with which workers detect that they use different targets.

use std::fmt::Write as _;

use globset::GlobMatcher;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::targets::{Destination, Payload, Target};
use super::{Config, Filter};

impl Config {
    /// The SHA-256, in hex, of everything in the file that affects what is sent where. It covers neither secrets nor
    /// the path of a URL, which may be one; comments and layout do not change it.
    pub fn digest(&self) -> String {
        let mut targets: Vec<Value> = self.targets.iter().map(|target| described(target)).collect();
        // The order of targets has no meaning.
        targets.sort_by_key(ToString::to_string);
        let described = json!({
            "targets": targets,
            "allow": format!("{:?}", self.allow),
            "full_max_bytes": self.full_max_bytes,
        });
        let mut hex = String::with_capacity(64);
        for byte in Sha256::digest(described.to_string()) {
            write!(hex, "{byte:02x}").expect("writing to a String cannot fail");
        }
        hex
    }
}

fn described(target: &Target) -> Value {
    let Target { name, destination, filter, payload, rate_per_sec, call_ttl } = target;
    let Filter { kinds, projects, models, metadata } = filter;
    let place = match destination {
        Destination::Webhook(http) | Destination::Slack(http) | Destination::Discord(http) => {
            let headers: Vec<&str> = http.headers.iter().map(|(name, _)| name.as_str()).collect();
            json!({"url": http.shown(), "headers": headers, "timeout_secs": http.timeout.as_secs_f64()})
        }
        Destination::RedisStream { max_len } => json!({ "max_len": max_len }),
    };
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    let metadata: Vec<Value> = metadata.iter().map(|(key, globs)| json!([key, texts(globs)])).collect();
    let payload = match payload {
        Payload::Thin => "thin",
        Payload::Full => "full",
    };
    json!({
        "name": name,
        "kind": destination.kind(),
        "place": place,
        "events": kinds,
        "projects": texts(projects),
        "models": texts(models),
        "metadata": metadata,
        "payload": payload,
        "rate_per_sec": rate_per_sec,
        "call_ttl_secs": call_ttl.as_secs_f64(),
    })
}

fn texts(globs: &[GlobMatcher]) -> Vec<&str> {
    globs.iter().map(|glob| glob.glob().glob()).collect()
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    fn digest(text: &str, secret: &str) -> String {
        Config::parse(text, &|_| Ok(SecretString::from(secret))).unwrap().digest()
    }

    const A: &str = "[[targets]]\nname = \"a\"\nurl = \"https://a.example/x\"\nsecret_env = \"S\"\n";
    const B: &str = "[[targets]]\nname = \"b\"\nkind = \"redis-stream\"\n";
    const SECRET: &str = "whsec_b3RoZXI6IDI0IGJ5dGVzIG9mIGtleSEhISE=";

    #[test]
    fn the_digest_covers_the_meaning_of_the_file_but_no_secret() {
        let both = digest(&format!("{A}{B}"), SECRET);
        assert_eq!(both, digest(&format!("# a comment\n{B}\n{A}"), SECRET));
        assert_eq!(both, digest(&format!("{A}{B}"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
        assert_eq!(both.len(), 64);
        for other in [
            A.to_owned(),
            format!("{A}rate_per_sec = 5\n{B}"),
            format!("{}{B}", A.replace("a.example", "c.example")),
            format!("{A}events = [\"batch.*\"]\n{B}"),
            format!("{A}{B}[notifications]\nallow = [\"10.0.0.0/8\"]\n"),
        ] {
            assert_ne!(both, digest(&other, SECRET), "{other}");
        }
    }
}
