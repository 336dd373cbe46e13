//! The ceiling: an actix-web server that reads the body and answers 200, nothing else.

use actix_web::{App, HttpResponse, HttpServer, web};
use clap::Parser;

/// Reads the body, answers 200.
#[derive(Parser)]
struct Flags {
    #[arg(long, env = "PORT")]
    port: u16,
}

async fn receive(_body: web::Bytes) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(r#"{"received":true}"#)
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let flags = Flags::parse();
    let app = || {
        let body = web::PayloadConfig::new(64 << 20);
        App::new().app_data(body).route("/openai/webhook", web::post().to(receive))
    };
    HttpServer::new(app).max_connections(100_000).bind(("127.0.0.1", flags.port))?.run().await
}
