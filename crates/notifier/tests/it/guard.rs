//! No request reaches a forbidden address. Here an exception makes 127.0.0.2 stand for the public internet.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use chrono::Utc;
use futures_util::FutureExt as _;
use notifier::{AddressError, AddressKind, AllowList, Endpoint, EndpointConfig, Resolver, SendError};
use proptest::prelude::*;
use test_support::receiver::{Receiver, Reply};

use crate::{allowed, chain, config};

const FORBIDDEN: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
const ALLOWED: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// Two servers on one port: one forbidden, one allowed.
async fn two_servers() -> (Receiver, Receiver) {
    let forbidden = Receiver::start(|_| Reply::ok()).await;
    let address = SocketAddr::new(ALLOWED, forbidden.address().port());
    (forbidden, Receiver::start_at(address, |_| Reply::ok()).await)
}

/// A resolver that returns one answer per look-up, and then repeats the last.
fn changing(answers: &[&[IpAddr]]) -> (Resolver, Arc<Mutex<usize>>) {
    let answers: Vec<Vec<IpAddr>> = answers.iter().map(|answer| answer.to_vec()).collect();
    let lookups = Arc::new(Mutex::new(0));
    let count = Arc::clone(&lookups);
    let resolver: Resolver = Arc::new(move |_host| {
        let mut count = count.lock().unwrap();
        let answer = answers[(*count).min(answers.len() - 1)].clone();
        *count += 1;
        async move { Ok::<_, io::Error>(answer) }.boxed()
    });
    (resolver, lookups)
}

fn endpoint(url: &str, resolver: Resolver) -> Endpoint {
    let allow = AllowList::parse(["127.0.0.2/32"]).unwrap();
    Endpoint::new(EndpointConfig { allow, resolver, ..config(url) }).unwrap()
}

async fn send(endpoint: &Endpoint) -> Result<(), SendError> {
    endpoint.send("ntf_1", Bytes::from_static(b"{}"), Utc::now()).await.map(drop)
}

#[tokio::test]
async fn the_guard_can_be_checked_without_a_request() {
    let (public, private) = (ALLOWED, FORBIDDEN);
    for (url, answer, refused) in [
        ("http://app.example/", vec![public], None),
        ("http://app.example/", vec![private, public], None),
        ("http://app.example/", vec![private], Some("loopback")),
        ("http://127.0.0.1/", vec![], Some("loopback")),
        ("http://127.0.0.2/", vec![], None),
    ] {
        let (resolver, _) = changing(&[&answer]);
        let checked = endpoint(url, resolver).check_address().await;
        match (checked, refused) {
            (Ok(()), None) => {}
            (Err(AddressError::Forbidden(error)), Some(words)) => assert!(error.to_string().contains(words)),
            (checked, _) => panic!("{url} at {answer:?}: {checked:?}"),
        }
    }
    let nowhere: Resolver = Arc::new(|_| async { Err(io::Error::other("no such name")) }.boxed());
    let error = endpoint("http://app.example/", nowhere).check_address().await.unwrap_err();
    assert!(matches!(&error, AddressError::Unresolved { host, .. } if host == "app.example"), "{error:?}");
}

#[tokio::test]
async fn no_request_reaches_a_forbidden_address() {
    let server = Receiver::start(|_| Reply::ok()).await;
    let port = server.address().port();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "127.0.0.1.",
        "localhost",
        "LOCALHOST.",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
    ] {
        let endpoint = Endpoint::new(config(&format!("http://{host}:{port}/"))).unwrap();
        let error = send(&endpoint).await.unwrap_err();
        let is_forbidden = matches!(error, SendError::Forbidden(_));
        // Some resolvers do not accept every spelling of localhost, but none may connect to it.
        assert!(is_forbidden || host.ends_with('.'), "{host}: {}", chain(&error));
    }
    assert_eq!(server.connections(), 0);
    send(&allowed(&server.url())).await.unwrap();
    assert_eq!(server.connections(), 1, "the server was listening throughout");
}

#[tokio::test]
async fn dns_rebinding_has_no_effect() {
    let (forbidden, public) = two_servers().await;
    let (resolver, lookups) = changing(&[&[ALLOWED], &[FORBIDDEN], &[ALLOWED], &[FORBIDDEN]]);
    let url = format!("http://rebinding.example:{}/", public.address().port());
    let endpoint = endpoint(&url, resolver);
    for round in 0..2 {
        send(&endpoint).await.unwrap();
        assert_eq!(*lookups.lock().unwrap(), 2 * round + 1, "the checked address is the one connected to");
        let error = send(&endpoint).await.unwrap_err();
        assert!(matches!(&error, SendError::Forbidden(f) if f.address == FORBIDDEN), "{}", chain(&error));
    }
    assert_eq!((public.connections(), forbidden.connections()), (2, 0));
}

#[tokio::test]
async fn only_the_allowed_addresses_of_a_name_are_tried() {
    let (forbidden, public) = two_servers().await;
    let url = format!("http://mixed.example:{}/", public.address().port());
    let (resolver, _) = changing(&[&[FORBIDDEN, ALLOWED, FORBIDDEN], &[]]);
    let endpoint = endpoint(&url, resolver);
    send(&endpoint).await.unwrap();
    assert!(matches!(send(&endpoint).await, Err(SendError::Unreachable(_))), "a name without addresses");
    assert_eq!((public.connections(), forbidden.connections()), (1, 0));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let forbidden = Receiver::start(|_| Reply::ok()).await;
    let location = format!("location: {}\r\n", forbidden.url());
    let redirecting = Receiver::start(move |_| Reply::Answer {
        status: "307 Temporary Redirect",
        headers: location.clone(),
        body: String::new(),
    })
    .await;
    let error = send(&allowed(&redirecting.url())).await.unwrap_err();
    assert!(matches!(error, SendError::Refused { ref response, .. } if response.status == 307));
    assert_eq!(forbidden.connections(), 0);
}

#[tokio::test]
async fn an_exception_for_a_host_covers_only_its_port() {
    let server = Receiver::start(|_| Reply::ok()).await;
    let port = server.address().port();
    let allow = AllowList::parse([format!("localhost:{port}").as_str()]).unwrap();
    let url = format!("http://localhost:{port}/");
    send(&Endpoint::new(EndpointConfig { allow: allow.clone(), ..config(&url) }).unwrap()).await.unwrap();
    let url = format!("http://localhost:{}/", port - 1);
    let other = Endpoint::new(EndpointConfig { allow, ..config(&url) }).unwrap();
    let error = send(&other).await.unwrap_err();
    assert!(matches!(error, SendError::Forbidden(f) if f.kind == AddressKind::Loopback));
    assert!(error.is_retryable(), "the operator may allow it before the next attempt");
}

/// The second half of the next test: runs with a proxy in its environment.
#[tokio::test]
#[ignore = "needs a proxy in the environment: the next test runs it"]
async fn sends_with_a_proxy_in_the_environment() {
    let server = Receiver::start(|_| Reply::ok()).await;
    send(&allowed(&server.url())).await.unwrap();
    let error = send(&Endpoint::new(config("http://192.0.2.1/")).unwrap()).await.unwrap_err();
    assert!(matches!(error, SendError::Forbidden(_)));
}

#[tokio::test]
async fn a_proxy_in_the_environment_is_not_used() {
    let proxy = Receiver::start(|_| Reply::ok()).await;
    let mut test = Command::new(std::env::current_exe().unwrap());
    test.args(["--ignored", "--exact", "guard::sends_with_a_proxy_in_the_environment"]);
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        test.env(variable, format!("http://{}", proxy.address()));
    }
    let run = tokio::task::spawn_blocking(move || test.output().unwrap()).await.unwrap();
    let output = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && output.contains("1 passed"), "{output}");
    assert_eq!(proxy.connections(), 0);
}

fn forbidden_address() -> impl Strategy<Value = IpAddr> {
    let v4 = |base: u32, bits: u32| {
        any::<u32>().prop_map(move |random| Ipv4Addr::from_bits(base | (random & (u32::MAX >> bits))))
    };
    let any_v4 = prop_oneof![
        v4(0x7F00_0000, 8),
        v4(0x0A00_0000, 8),
        v4(0xAC10_0000, 12),
        v4(0xC0A8_0000, 16),
        v4(0xA9FE_0000, 16),
        v4(0x6440_0000, 10),
        v4(0xE000_0000, 3),
        v4(0, 8),
    ]
    .boxed();
    prop_oneof![
        any_v4.clone().prop_map(IpAddr::V4),
        any_v4.prop_map(|v4| IpAddr::V6(v4.to_ipv6_mapped())),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits >> 3))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits | 0xC000 << 112))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Both by name and as an IP literal: refused before any connection.
    #[test]
    fn a_forbidden_address_is_refused_by_name_and_by_literal(address in forbidden_address()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (resolver, _) = changing(&[&[address]]);
        let by_name = EndpointConfig { resolver, ..config("http://name.example/") };
        let literal = config(&format!("http://{}/", SocketAddr::new(address, 80)));
        for config in [by_name, literal] {
            let error = runtime.block_on(send(&Endpoint::new(config).unwrap())).unwrap_err();
            prop_assert!(matches!(error, SendError::Forbidden(f) if f.address == address), "{}", chain(&error));
        }
    }
}
