//! The hosts of OpenAI itself, as opposed to proxies and other servers with its API.

use url::Url;

use crate::client::Client;

const HOST: &str = "api.openai.com";

impl Client {
    /// Whether the base URL has OpenAI's own host: `api.openai.com`, or that of a region such as `eu.api.openai.com`.
    pub fn is_openai(&self) -> bool {
        Url::parse(self.base_url()).is_ok_and(|url| url.host_str().is_some_and(is_openai))
    }
}

/// `host` is in lower case, as parsed from a URL.
fn is_openai(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.strip_suffix(HOST).is_some_and(|region| region.is_empty() || region.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_of_openai_are_its_api_and_that_of_each_region() {
        let is_openai = |url: &str| is_openai(Url::parse(url).unwrap().host_str().unwrap());
        for url in [
            "https://api.openai.com/v1",
            "https://API.OpenAI.com:443/v1",
            "https://api.openai.com./v1",
            "https://eu.api.openai.com/v1",
            "https://us.api.openai.com/v1",
        ] {
            assert!(is_openai(url), "{url}");
        }
        for url in [
            "http://127.0.0.1:8081/v1",
            "http://localhost/v1",
            "https://proxy.example/api.openai.com/v1",
            "https://api.openai.com.example/v1",
            "https://notapi.openai.com/v1",
            "https://openai.com/v1",
            "https://acme.openai.azure.com/openai/v1",
        ] {
            assert!(!is_openai(url), "{url}");
        }
    }
}
