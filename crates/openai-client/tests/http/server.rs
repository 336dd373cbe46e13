//! An HTTP server that sends exactly the bytes of a test script, so that every broken response is real.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The steps of a response; afterwards the connection is closed.
#[derive(Clone)]
pub(crate) enum Step {
    Send(Vec<u8>),
    /// The pause is the behaviour under test: a slow sender.
    Pause(Duration),
    /// Sends nothing more until the client disconnects.
    Stall,
}

pub(crate) struct Server {
    addr: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// `script` is called with the head of each request, from `GET` to the empty line.
    pub(crate) async fn start(script: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (seen, script) = (heads.clone(), Arc::new(script));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, script.clone(), seen.clone()));
            }
        });
        Self { addr, heads, task }
    }

    /// Responds to every request with the same bytes.
    pub(crate) async fn responding(response: impl Into<Vec<u8>>) -> Self {
        let response = response.into();
        Self::start(move |_| vec![Step::Send(response.clone())]).await
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// The heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A response with a `Content-Length` and the given headers.
pub(crate) fn response(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

pub(crate) fn json(body: &str) -> Vec<u8> {
    response("200 OK", "content-type: application/json\r\nx-request-id: req_1\r\n", body)
}

async fn serve(
    mut stream: TcpStream,
    script: Arc<impl Fn(&str) -> Vec<Step>>,
    seen: Arc<Mutex<Vec<String>>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    seen.lock().unwrap().push(head.clone());
    for step in script(&head) {
        match step {
            // The client may have disconnected intentionally.
            Step::Send(bytes) if stream.write_all(&bytes).await.is_err() => return,
            Step::Send(_) => {}
            Step::Pause(pause) => tokio::time::sleep(pause).await,
            Step::Stall => {
                let _ = stream.read(&mut [0]).await;
            }
        }
    }
    let _ = stream.shutdown().await;
}
