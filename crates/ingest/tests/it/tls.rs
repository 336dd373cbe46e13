//! TLS without a proxy: real handshakes with a test certificate authority.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingest::{Limits, RunError, TlsError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use test_support::redis::RedisServer;
use test_support::signed_webhook::SignedWebhook;
use test_support::wait;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::harness::{Connection, INVALID, RECEIVED, TestIngest, head, request, settings};

const HOST: &str = "hooks.example";

/// A certificate authority, and the two files with its latest certificate and key.
struct Certificates {
    authority: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Certificates {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let certificates = Self { authority, folder: tempfile::tempdir().unwrap() };
        certificates.write(&certificates.issue());
        certificates
    }

    /// A certificate and its key, both as PEM.
    fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([HOST.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn write(&self, (certificate, key): &(String, String)) {
        fs::write(self.certificate_file(), certificate).unwrap();
        fs::write(self.key_file(), key).unwrap();
    }

    fn certificate_file(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    fn key_file(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// The flags for both files.
    fn flags(&self) -> [String; 4] {
        let path = |path: PathBuf| path.to_str().unwrap().to_owned();
        [
            "--ingest-tls-cert".into(),
            path(self.certificate_file()),
            "--ingest-tls-key".into(),
            path(self.key_file()),
        ]
    }

    async fn start(&self) -> TestIngest {
        self.start_with(&[]).await
    }

    async fn start_with(&self, more: &[&str]) -> TestIngest {
        let flags = self.flags();
        let flags: Vec<&str> = flags.iter().map(String::as_str).chain(more.iter().copied()).collect();
        TestIngest::start_with(&flags, Limits::default()).await
    }

    /// Connects as a client that trusts only this authority and also supports HTTP/2.
    async fn connect(&self, addr: SocketAddr) -> Connection<TlsStream<TcpStream>> {
        Connection::over(self.handshake(addr).await)
    }

    async fn handshake(&self, addr: SocketAddr) -> TlsStream<TcpStream> {
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = TcpStream::connect(addr).await.unwrap();
        let name = ServerName::try_from(HOST).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    /// The certificate that a new connection receives.
    async fn shown(&self, addr: SocketAddr) -> CertificateDer<'static> {
        let stream = self.handshake(addr).await;
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    }
}

#[tokio::test]
async fn a_webhook_is_accepted_over_tls_and_http2_is_not_offered() {
    let certificates = Certificates::new();
    let ingest = certificates.start().await;
    let stream = certificates.handshake(ingest.addr).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let mut connection = Connection::over(stream);
    connection.send(&request(&SignedWebhook::new("batch.completed", "batch_1"))).await;
    connection.response().await.expect(200, RECEIVED);
    connection.send(&head("/openai/webhook", &[], "Content-Length: 0")).await;
    connection.response().await.expect(400, INVALID);
    connection.closed().await;
    assert_eq!(ingest.count_queued().await, 1);
}

#[tokio::test]
async fn the_longest_idle_tls_connection_is_evicted_first() {
    let certificates = Certificates::new();
    let ingest = certificates.start_with(&["--max-connections", "2"]).await;
    let mut connections = Vec::new();
    for number in 1..=3 {
        let mut connection = certificates.connect(ingest.addr).await;
        connection.send(&request(&SignedWebhook::new("batch.completed", &format!("batch_{number}")))).await;
        connection.response().await.expect(200, RECEIVED);
        connections.push(connection);
    }
    connections[0].closed().await;
    connections[1].send(&request(&SignedWebhook::new("batch.completed", "batch_4"))).await;
    connections[1].response().await.expect(200, RECEIVED);
    assert_eq!(ingest.count_queued().await, 4);
}

#[tokio::test]
async fn a_tls_delivery_evicted_in_its_body_is_never_rejected_as_a_forgery() {
    let certificates = Certificates::new();
    let ingest = certificates.start_with(&["--max-connections", "1"]).await;
    let bytes = request(&SignedWebhook::new("batch.completed", "batch_1"));
    let mut evicted = certificates.connect(ingest.addr).await;
    evicted.send(&request(&SignedWebhook::new("batch.completed", "batch_0"))).await;
    evicted.response().await.expect(200, RECEIVED);
    evicted.send(&bytes[..bytes.len() - 1]).await;
    let mut next = certificates.connect(ingest.addr).await;
    next.send(&request(&SignedWebhook::new("batch.completed", "batch_2"))).await;
    next.response().await.expect(200, RECEIVED);
    let response = evicted.try_response().await;
    assert!(response.as_ref().is_none_or(|response| response.status == 503), "{response:?}");
    assert_eq!(ingest.count_queued().await, 2);
}

#[tokio::test]
async fn hundreds_of_unfinished_handshakes_do_not_block_deliveries() {
    let certificates = Certificates::new();
    let flags = certificates.flags();
    let limits = Limits { head: Duration::from_secs(3600), ..Limits::default() };
    let ingest = TestIngest::start_with(&flags.each_ref().map(String::as_str), limits).await;
    let mut unfinished = Vec::new();
    for _ in 0..800 {
        let mut connection = ingest.connect().await;
        connection.send(&[22, 3, 1, 2]).await;
        unfinished.push(connection);
    }
    let mut connection = certificates.connect(ingest.addr).await;
    connection.send(&request(&SignedWebhook::new("batch.completed", "batch_1"))).await;
    connection.response().await.expect(200, RECEIVED);
}

#[tokio::test]
async fn unencrypted_requests_are_not_accepted_with_tls() {
    let ingest = Certificates::new().start().await;
    let mut connection = ingest.connect().await;
    connection.send(&request(&SignedWebhook::new("batch.completed", "batch_1"))).await;
    connection.closed().await;
    assert_eq!(ingest.count_queued().await, 0);
}

#[tokio::test]
async fn a_new_certificate_is_served_and_open_connections_stay_open() {
    let certificates = Certificates::new();
    let ingest = certificates.start().await;
    let mut open = certificates.connect(ingest.addr).await;
    open.send(&request(&SignedWebhook::new("batch.completed", "batch_1"))).await;
    open.response().await.expect(200, RECEIVED);
    let first = certificates.shown(ingest.addr).await;

    certificates.write(&certificates.issue());
    let renewed = async || (certificates.shown(ingest.addr).await != first).then_some(());
    wait::until("the new certificate", renewed).await;
    open.send(&request(&SignedWebhook::new("batch.completed", "batch_2"))).await;
    open.response().await.expect(200, RECEIVED);
    assert_eq!(ingest.count_queued().await, 2);
}

#[tokio::test]
async fn a_certificate_is_reloaded_only_with_its_key() {
    let certificates = Certificates::new();
    let flags = certificates.flags();
    let redis = RedisServer::start();
    let url = redis.url();
    let mut ingest = test_support::programs::Program::start(
        "ingest",
        &[
            ("INGEST_ADDR", "127.0.0.1:0"),
            ("ADMIN_ADDR", "127.0.0.1:0"),
            ("REDIS_URL", &url),
            ("OPENAI_WEBHOOK_SECRET", test_support::signed_webhook::SECRET),
            ("INGEST_TLS_CERT", &flags[1]),
            ("INGEST_TLS_KEY", &flags[3]),
        ],
    );
    let line: serde_json::Value = serde_json::from_str(&ingest.wait_for_log("ingest.addr")).unwrap();
    assert_eq!(line["tls"], true);
    let addr: SocketAddr = line["ingest.addr"].as_str().unwrap().parse().unwrap();
    let first = certificates.shown(addr).await;

    let (certificate, key) = certificates.issue();
    fs::write(certificates.certificate_file(), certificate).unwrap();
    ingest.wait_for_log("still serving the old one");
    assert_eq!(certificates.shown(addr).await, first);
    fs::write(certificates.key_file(), &key).unwrap();
    ingest.wait_for_log("reloaded the certificate");
    assert_ne!(certificates.shown(addr).await, first);
    assert!(ingest.stop().success());
    assert!(!ingest.log().join("").contains(key.lines().nth(1).unwrap()), "the key is in the log");
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_handshake_is_cut_off() {
    let certificates = Certificates::new();
    let flags = certificates.flags();
    let limits = Limits { head: Duration::from_secs(1), ..Limits::default() };
    let ingest = TestIngest::start_with(&flags.each_ref().map(String::as_str), limits).await;
    let started = Instant::now();
    let mut connection = ingest.connect().await;
    // The beginning of the first handshake record.
    connection.send(&[22, 3, 1, 2]).await;
    connection.closed().await;
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

#[tokio::test]
async fn unusable_certificate_files_are_named_at_startup() {
    let certificates = Certificates::new();
    let (_, foreign_key) = certificates.issue();
    let folder = certificates.folder.path();
    let file = |name: &str, content: &str| {
        fs::write(folder.join(name), content).unwrap();
        folder.join(name).to_str().unwrap().to_owned()
    };
    let [_, certificate, _, key] = certificates.flags();
    let text = file("text.pem", "neither");
    let damaged = file("damaged.pem", "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n");
    let foreign = file("foreign.pem", &foreign_key);
    for (certificate, key, expected) in [
        (Some(&certificate), None, "INGEST_TLS_CERT and INGEST_TLS_KEY must be set together"),
        (None, Some(&key), "INGEST_TLS_CERT and INGEST_TLS_KEY must be set together"),
        (Some(&"/nowhere/cert.pem".to_owned()), Some(&key), "INGEST_TLS_CERT: cannot read /nowhere/cert.pem"),
        (Some(&text), Some(&key), "contains no certificate"),
        (Some(&damaged), Some(&key), "INGEST_TLS_CERT: "),
        (Some(&certificate), Some(&text), "contains no private key"),
        (Some(&certificate), Some(&certificate), "contains no private key"),
        (Some(&certificate), Some(&foreign), "does not match the certificate"),
    ] {
        let mut flags = vec!["--openai-webhook-secret", test_support::signed_webhook::SECRET];
        flags.extend(certificate.iter().flat_map(|path| ["--ingest-tls-cert", path]));
        flags.extend(key.iter().flat_map(|path| ["--ingest-tls-key", path]));
        let refused = refusal(&flags).await.to_string();
        assert!(refused.contains(expected), "{expected}: {refused}");
    }
}

async fn refusal(flags: &[&str]) -> TlsError {
    match ingest::start(&settings(flags), Limits::default(), CancellationToken::new()).await {
        Err(RunError::Tls(error)) => error,
        other => panic!("not refused: {other:?}"),
    }
}
