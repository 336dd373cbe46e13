//! The upper bound: an actix-web server that only reads the body and answers 200. With `--hash` it also computes the
//! SHA-256 of the body, which every receiver of signed webhooks needs.

use actix_web::{App, HttpResponse, HttpServer, web};
use clap::Parser;
use sha2::{Digest as _, Sha256};

/// Reads the body and answers 200
#[derive(Parser)]
struct Flags {
    #[arg(long, env = "PORT")]
    port: u16,
    #[arg(long)]
    hash: bool,
}

fn ok() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(r#"{"received":true}"#)
}

async fn receive(_body: web::Bytes) -> HttpResponse {
    ok()
}

async fn hash(body: web::Bytes) -> HttpResponse {
    std::hint::black_box(Sha256::digest(&body));
    ok()
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let flags = Flags::parse();
    let app = move || {
        let body = web::PayloadConfig::new(64 << 20);
        let route = if flags.hash { web::post().to(hash) } else { web::post().to(receive) };
        App::new().app_data(body).route("/openai/webhook", route)
    };
    HttpServer::new(app).max_connections(100_000).bind(("127.0.0.1", flags.port))?.run().await
}
