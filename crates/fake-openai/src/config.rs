//! Configuration of the fake server.

use std::net::SocketAddr;
use std::time::Duration;

use webhook::SigningSecret;

/// How long created jobs take, unless configured otherwise.
const END_AFTER_DEFAULT: Duration = Duration::from_secs(1);

/// Configuration of a [`crate::FakeOpenAi`].
#[derive(Clone)]
pub struct FakeConfig {
    /// Port 0 picks a free port.
    pub addr: SocketAddr,
    /// The API key that requests must carry; `None` accepts any request.
    pub api_key: Option<String>,
    /// A valid key of another project: every object is a 404 and every list is empty.
    pub foreign_api_key: Option<String>,
    /// Supports range requests for file content, with `ETag` and `Accept-Ranges`. It is unknown whether OpenAI does.
    pub ranges: bool,
    /// Sends a weak `ETag`, which does not permit range requests.
    pub weak_etags: bool,
    /// Signs the webhooks that `POST /_control/send` and created jobs send.
    pub webhook_secret: Option<SigningSecret>,
    /// The receiver of the webhooks of created jobs.
    pub send_to: Option<String>,
    /// How long created jobs take.
    pub end_after: Duration,
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
            send_to: None,
            end_after: END_AFTER_DEFAULT,
        }
    }
}
