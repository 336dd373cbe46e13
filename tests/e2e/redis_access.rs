//! An external Redis: TLS with a private certificate authority, and a password in a file.

use std::path::Path;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;
use tempfile::TempDir;
use test_support::programs::{self, Program};
use test_support::redis::{RedisServer, free_port};
use test_support::signed_webhook::{SECRET, SignedWebhook};
use test_support::wait;

use crate::harness::log_field;

/// A password with characters that must be escaped in a URL.
const PASSWORD: &str = "p%41/w?#:@x";

/// A server with TLS, and a folder that contains only its certificate authority.
struct PrivateRedis {
    folder: TempDir,
    port: u16,
    _server: RedisServer,
}

impl PrivateRedis {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        std::fs::create_dir(folder.path().join("authorities")).unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let authority = file("authorities/private.pem", &authority.pem());
        let (certificate, key) =
            (file("redis.crt", &certificate.pem()), file("redis.key", &key.serialize_pem()));
        file("password", &format!("{PASSWORD}\n"));
        let port = free_port();
        let server = RedisServer::start_with(&[
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--requirepass",
            PASSWORD,
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &authority,
            "--tls-auth-clients",
            "no",
        ]);
        Self { folder, port, _server: server }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }
}

/// The settings of all programs of one installation.
struct Settings(Vec<(&'static str, String)>);

impl Settings {
    fn new(redis: &PrivateRedis, prefix: &str, folder: &Path) -> Self {
        Self(vec![
            ("REDIS_URL", format!("rediss://localhost:{}", redis.port)),
            ("REDIS_PASSWORD_FILE", redis.path("password")),
            ("REDIS_KEY_PREFIX", prefix.to_owned()),
            ("OPENAI_WEBHOOK_SECRET", SECRET.to_owned()),
            ("FETCH", "off".to_owned()),
            ("DATABASE_URL", format!("sqlite://{}/landfall.db", folder.display())),
            ("FILES_URL", folder.join("files").display().to_string()),
            ("INGEST_ADDR", "127.0.0.1:0".to_owned()),
            ("ADMIN_ADDR", "127.0.0.1:0".to_owned()),
        ])
    }

    fn with(mut self, name: &'static str, value: String) -> Self {
        self.0.push((name, value));
        self
    }

    fn all(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    /// The JSON output of the command.
    fn landfall(&self, arguments: &[&str]) -> Vec<Value> {
        let mut command = Command::new(programs::path("landfall"));
        let output = command.args(arguments).arg("--json").env_clear().envs(self.all()).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_with_a_private_authority_and_a_password_in_a_file_is_used_by_all_programs() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let redis = PrivateRedis::start();
    for (name, path) in [("SSL_CERT_FILE", "authorities/private.pem"), ("SSL_CERT_DIR", "authorities")] {
        let folder = tempfile::tempdir().unwrap();
        let settings =
            Settings::new(&redis, &name.to_lowercase(), folder.path()).with(name, redis.path(path));
        let mut ingest = Program::start("ingest", &settings.all());
        let addr = log_field(&ingest.wait_for_log("ingest.addr"), "ingest.addr");
        let webhook = SignedWebhook::new("realtime.call.incoming", "rtc_1");
        let mut request = reqwest::Client::builder()
            .build()
            .unwrap()
            .post(format!("http://{addr}/openai/webhook"))
            .body(webhook.body.clone());
        for (name, value) in webhook.headers() {
            request = request.header(name, value);
        }
        assert_eq!(request.send().await.unwrap().status(), 200, "{name}");
        let _worker = Program::start("worker", &settings.all());
        wait::until("the event to be stored", async || {
            let events = settings.landfall(&["events"]);
            events.iter().any(|event| event["state"] == "stored").then_some(())
        })
        .await;
        assert_eq!(settings.landfall(&["status"])[0]["total"]["backlog"], 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nothing_vouches_for_is_named_with_what_to_set() {
    let redis = PrivateRedis::start();
    let folder = tempfile::tempdir().unwrap();
    let settings = || Settings::new(&redis, "landfall", folder.path());
    for (settings, what, hint) in [
        (settings(), "UnknownIssuer", "SSL_CERT_FILE"),
        (
            settings().with("SSL_CERT_FILE", "/nowhere/ca.pem".to_owned()),
            "/nowhere/ca.pem",
            "correct SSL_CERT_FILE",
        ),
    ] {
        for program in ["ingest", "worker"] {
            let mut program = Program::start(program, &settings.all());
            let line = program.wait_for_log(what);
            assert!(line.contains(hint) && !line.contains(PASSWORD), "{line}");
        }
        let findings = settings.landfall(&["doctor"]);
        let about_redis = findings.iter().find(|finding| finding["check"] == "redis").unwrap();
        assert_eq!(about_redis["state"], "wrong");
        assert!(about_redis["what"].as_str().unwrap().contains(what), "{about_redis}");
        assert!(about_redis["cure"].as_str().unwrap().contains(hint), "{about_redis}");
    }
}
