//! A network between the queue and its Redis: it can fall silent without closing, and lead new connections elsewhere.

use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub(crate) struct Proxy {
    port: u16,
    route: Arc<Mutex<Route>>,
}

/// Where connections that open now go, and what silences them.
#[derive(Clone)]
struct Route {
    port: u16,
    silence: CancellationToken,
}

impl Proxy {
    pub(crate) async fn start(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let route = Arc::new(Mutex::new(Route { port: target, silence: CancellationToken::new() }));
        let routes = Arc::clone(&route);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let route = routes.lock().unwrap().clone();
                tokio::spawn(carry(client, route));
            }
        });
        Self { port, route }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Connections that are open stay open, but nothing comes through any more.
    pub(crate) fn silence(&self) {
        let mut route = self.route.lock().unwrap();
        std::mem::take(&mut route.silence).cancel();
    }

    /// New connections go to another server; open ones stay where they are.
    pub(crate) fn lead_to(&self, port: u16) {
        self.route.lock().unwrap().port = port;
    }
}

async fn carry(mut client: TcpStream, route: Route) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", route.port)).await else {
        return;
    };
    let carried = tokio::io::copy_bidirectional(&mut client, &mut server);
    if route.silence.run_until_cancelled(carried).await.is_none() {
        // Keeps both sockets open.
        std::future::pending::<()>().await;
    }
}
