//! The causes of connection problems are distinguished, on real servers, each with the address and a hint.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use queue::{Cause, QueueAdmin, QueueConfig, ServerFinding};
use test_support::redis::{RedisServer, free_port};
use test_support::wait;

use crate::harness::{FAMILY, TestQueue, entry};

fn admin(url: &str) -> QueueAdmin {
    QueueAdmin::new(&QueueConfig { url: url.into(), key_prefix: "landfall".to_owned() }).unwrap()
}

/// The cause and the whole error of a failed connection. It must not contain a password.
async fn cause(url: &str) -> (Cause, String) {
    let admin = admin(url);
    let error = admin.stats().await.unwrap_err();
    let said = format!("{error}: {}", std::error::Error::source(&error).unwrap());
    assert!(!said.contains("hunter2"), "{said}");
    (admin.diagnose(&error).await, said)
}

async fn is(url: &str, expected: Cause) {
    let (cause, said) = cause(url).await;
    assert_eq!(cause, expected, "{url}: {said}");
    let host_and_port = url.rsplit('@').next().unwrap().trim_start_matches("rediss://");
    let host_and_port = host_and_port.trim_start_matches("redis://").split('/').next().unwrap();
    assert!(said.contains(host_and_port), "{host_and_port} is not in: {said}");
}

/// A server that also speaks TLS, with an untrusted certificate for `localhost`.
fn with_tls() -> (RedisServer, u16, tempfile::TempDir) {
    rustls::crypto::ring::default_provider().install_default().ok();
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("redis.crt"), folder.path().join("redis.key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let port = free_port();
    let server = RedisServer::start_with(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        certificate,
        "--tls-key-file",
        key,
        "--tls-ca-cert-file",
        certificate,
        "--tls-auth-clients",
        "no",
    ]);
    (server, port, folder)
}

#[tokio::test]
async fn causes_of_connection_errors_are_distinguished() {
    let (server, tls_port, _certificate) = with_tls();
    let (port, url) = (server.port(), server.url());
    is(&format!("redis://:hunter2@127.0.0.1:{}", free_port()), Cause::Refused).await;
    is(&format!("redis://:hunter2@no-such-host.invalid:{port}"), Cause::UnknownHost).await;
    is(&format!("{url}/99"), Cause::WrongDatabase).await;
    is(&format!("rediss://:hunter2@127.0.0.1:{port}"), Cause::TlsOnPlainPort).await;
    is(&format!("redis://127.0.0.1:{tls_port}"), Cause::PlainOnTlsPort).await;
    is(&format!("rediss://localhost:{tls_port}"), Cause::UnknownAuthority).await;

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    is(&format!("redis://{}", silent.local_addr().unwrap()), Cause::Silent).await;

    let queue = TestQueue::on(server);
    queue.command::<()>("CONFIG SET requirepass hunter2").await;
    assert_eq!(cause(&url).await.0, Cause::PasswordMissing);
    is(&format!("redis://:wrong@127.0.0.1:{port}"), Cause::PasswordWrong).await;
    // Also with a password, which is not sent to the server.
    is(&format!("rediss://:hunter2@127.0.0.1:{port}"), Cause::TlsOnPlainPort).await;
    admin(&format!("redis://:hunter2@127.0.0.1:{port}")).stats().await.unwrap();
}

#[tokio::test]
async fn a_web_server_is_not_redis() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            use std::io::{Read as _, Write as _};
            let mut stream = stream.unwrap();
            let mut request = [0; 256];
            if stream.read(&mut request).is_ok() {
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").ok();
            }
        }
    });
    assert_eq!(cause(&format!("redis://127.0.0.1:{port}")).await.0, Cause::NotRedis);
}

#[tokio::test]
async fn missing_permissions_and_keys_of_another_type_are_distinguished() {
    let queue = TestQueue::start();
    queue.command::<()>("ACL SETUSER bob on >pw ~{landfall}* +@all -evalsha").await;
    queue.command::<()>("ACL SETUSER eve on >pw ~other* +@all").await;
    for user in ["bob", "eve"] {
        let url = format!("redis://{user}:pw@127.0.0.1:{}", queue.server.port());
        assert_eq!(cause(&url).await.0, Cause::NotPermitted, "{user}");
    }
    queue.command::<()>("SET events x").await;
    assert_eq!(cause(&queue.server.url()).await.0, Cause::WrongType);
}

struct Sentinel {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Sentinel {
    fn start() -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let file = folder.path().join("sentinel.conf");
        std::fs::write(&file, format!("port {port}\n")).unwrap();
        let mut redis = Command::new("redis-server");
        redis.arg(&file).arg("--sentinel").stdout(Stdio::null()).stderr(Stdio::null());
        let child = redis.spawn().unwrap();
        let address = format!("127.0.0.1:{port}");
        let sentinel = Self { child, url: format!("redis://{address}"), _folder: folder };
        wait::until_blocking("Sentinel to listen", || std::net::TcpStream::connect(&address).ok());
        sentinel
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[tokio::test]
async fn sentinel_and_cluster_are_named_as_not_supported() {
    let sentinel = Sentinel::start();
    assert_eq!(cause(&sentinel.url).await.0, Cause::Sentinel);
    assert_eq!(cause(&format!("{}/1", sentinel.url)).await.0, Cause::Sentinel);
    let report = admin(&sentinel.url).check_server().await.unwrap();
    assert_eq!(report.findings, [ServerFinding::Sentinel]);
    assert!(ServerFinding::Sentinel.hint().contains("an address that always routes to it"));

    let queue = TestQueue::on(RedisServer::start_with(&["--cluster-enabled", "yes"]));
    assert_eq!(cause(&queue.server.url()).await.0, Cause::Cluster);
    assert_eq!(cause(&format!("{}/1", queue.server.url())).await.0, Cause::Cluster);
    let report = queue.admin.check_server().await.unwrap();
    assert!(report.findings.contains(&ServerFinding::Cluster), "{report:?}");
    assert!(Cause::Cluster.hint().contains("use one Redis or Valkey"));
    queue.producer.enqueue(FAMILY, &entry("wh_1")).await.unwrap_err();
}
