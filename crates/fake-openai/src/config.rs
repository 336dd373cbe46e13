//! The settings that a fake starts with.

use std::net::SocketAddr;

use webhook::SigningSecret;

/// How to start a fake.
#[derive(Clone)]
pub struct FakeConfig {
    /// Port 0 is any free one.
    pub addr: SocketAddr,
    /// The key requests must have; none: anything goes.
    pub api_key: Option<String>,
    /// A key that is right, but of another project: every object is 404, every list empty.
    pub foreign_api_key: Option<String>,
    /// Serve file content in ranges, with `ETag` and `Accept-Ranges`. Whether OpenAI does is not known.
    pub ranges: bool,
    /// Whether that `ETag` is a weak one, under which no range may be asked for.
    pub weak_etags: bool,
    /// Signs what `POST /_control/send` sends.
    pub webhook_secret: Option<SigningSecret>,
}

impl Default for FakeConfig {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            api_key: None,
            foreign_api_key: None,
            ranges: true,
            weak_etags: false,
            webhook_secret: None,
        }
    }
}
