//! The admin port over real sockets.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use service::admin::{self, Admin, AdminError};
use service::metrics::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

async fn get(admin: &Admin, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(admin.addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

#[tokio::test]
async fn healthz_readyz_and_metrics_respond() {
    let mut registry = Registry::default();
    registry.counter("landfall_things_total", "Things").inc();
    let ready = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&ready);
    let readiness = move || {
        let ready = asked.load(Ordering::Relaxed);
        async move { if ready { Ok(()) } else { Err("Redis is \"down\"".to_owned()) } }
    };
    let admin = admin::serve(ANY_PORT, registry, readiness).unwrap();

    let healthz = get(&admin, "/healthz").await;
    assert!(healthz.starts_with("HTTP/1.1 200 ") && healthz.ends_with(r#"{"status":"ok"}"#), "{healthz}");
    let not_ready = get(&admin, "/readyz").await;
    assert!(not_ready.starts_with("HTTP/1.1 503 "), "{not_ready}");
    assert!(not_ready.ends_with(r#"{"reason":"Redis is \"down\"","status":"not ready"}"#), "{not_ready}");
    ready.store(true, Ordering::Relaxed);
    assert!(get(&admin, "/readyz").await.starts_with("HTTP/1.1 200 "));
    let metrics = get(&admin, "/metrics").await;
    assert!(metrics.contains("content-type: application/openmetrics-text"), "{metrics}");
    for sample in ["landfall_things_total 1", "landfall_log_lines_dropped_total 0"] {
        assert!(metrics.lines().any(|line| line == sample), "{metrics}");
    }
    assert!(metrics.ends_with("\n# EOF\n"), "{metrics}");
    assert!(get(&admin, "/other").await.starts_with("HTTP/1.1 404 "));
    admin.stop().await;
}

#[tokio::test]
async fn a_readiness_check_that_hangs_fails() {
    let admin = admin::serve(ANY_PORT, Registry::default(), std::future::pending).unwrap();
    let response = get(&admin, "/readyz").await;
    assert!(response.starts_with("HTTP/1.1 503 ") && response.contains("timed out after"), "{response}");
    admin.stop().await;
}

#[tokio::test]
async fn healthcheck_fails_without_a_response() {
    let admin = admin::serve(ANY_PORT, Registry::default(), || async { Ok(()) }).unwrap();
    let everywhere = SocketAddr::new("0.0.0.0".parse().unwrap(), admin.addr.port());
    tokio::task::spawn_blocking(move || admin::healthcheck(everywhere)).await.unwrap().unwrap();
    let addr = admin.addr;
    admin.stop().await;
    let error = tokio::task::spawn_blocking(move || admin::healthcheck(addr)).await.unwrap().unwrap_err();
    assert!(matches!(error, AdminError::NoAnswer { .. }), "{error}");
}

#[tokio::test]
async fn an_address_in_use_is_refused_with_the_name_of_its_setting() {
    let first = admin::serve(ANY_PORT, Registry::default(), || async { Ok(()) }).unwrap();
    let error = admin::serve(first.addr, Registry::default(), || async { Ok(()) }).unwrap_err();
    assert!(error.to_string().starts_with("ADMIN_ADDR: cannot listen on 127.0.0.1:"), "{error}");
    first.stop().await;
}
