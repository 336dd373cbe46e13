//! Nonsense in the settings is refused at start, by name, without printing a secret.

use test_support::programs::Program;
use test_support::redis::RedisServer;

fn refusal(program: &str, environment: &[(&str, &str)]) -> String {
    let mut program = Program::start(program, environment);
    assert_eq!(program.wait().code(), Some(2));
    test_support::wait::until_blocking("the refusal", || {
        let said = program.log().join("\n");
        (!said.is_empty()).then_some(said)
    })
}

#[test]
fn ingest_refuses_a_missing_an_empty_and_a_malformed_secret() {
    let missing = refusal("ingest", &[]);
    assert!(missing.contains("OPENAI_WEBHOOK_SECRET"), "{missing}");
    for secret in ["", "   ", "whsec_c2hvcnQ=", "sk-not-a-webhook-secret", "whsec_%%%%"] {
        let said = refusal("ingest", &[("OPENAI_WEBHOOK_SECRET", secret)]);
        assert!(said.contains("OPENAI_WEBHOOK_SECRET"), "{said}");
        assert!(secret.trim().len() < 8 || !said.contains(secret.trim()), "{said}");
    }
}

#[test]
fn the_worker_refuses_to_start_without_an_api_key_unless_fetching_is_off() {
    let said = refusal("worker", &[]);
    assert!(said.contains("OPENAI_API_KEY") && said.contains("FETCH=off"), "{said}");
}

#[test]
fn nonsense_is_refused_with_the_setting_and_what_to_write() {
    let redis = RedisServer::start();
    let secret = ("OPENAI_WEBHOOK_SECRET", test_support::signed_webhook::SECRET);
    let url = redis.url();
    let cases = [
        ("ingest", "MAX_BODY_BYTES", "lots"),
        ("ingest", "INGEST_ADDR", "everywhere"),
        ("ingest", "REDIS_URL", "localhost"),
        ("worker", "WORKER_FAMILIES", "batch,respones"),
        ("worker", "WORKER_CONCURRENCY", "batch=none"),
        ("worker", "LEASE_SECS", "-1"),
        ("worker", "DATABASE_URL", "mysql://x"),
        ("worker", "FETCH", "perhaps"),
    ];
    for (program, name, value) in cases {
        let mut environment = vec![("REDIS_URL", url.as_str()), ("OPENAI_API_KEY", "sk-x"), secret];
        environment.retain(|(known, _)| *known != name);
        environment.push((name, value));
        let said = refusal(program, &environment);
        assert!(said.contains(name), "{name}: {said}");
    }
}
