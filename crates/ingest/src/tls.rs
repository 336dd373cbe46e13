//! TLS without a proxy: the certificate of `INGEST_TLS_CERT` and `INGEST_TLS_KEY`, served from memory and read again when
//! the files change. New handshakes get the new one; connections that are open stay as they are.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use error_text::chain;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use service::detached;
use tokio_util::sync::CancellationToken;

/// Reading two small files costs nothing. Content is compared, not times: it works through links and volumes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// PEM files: the server's certificate, then those that lead to the root; and its key as PKCS#8, PKCS#1 or SEC1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// Why there is nothing to serve. Says which file and what to write, never what is in it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("INGEST_TLS_CERT and INGEST_TLS_KEY belong together: set both, or none")]
    Half,
    #[error("{name}: cannot read {}", path.display())]
    Unreadable { name: &'static str, path: PathBuf, source: std::io::Error },
    #[error("INGEST_TLS_CERT: {} holds no certificate: write a PEM file, the server's certificate first", path.display())]
    NoCertificate { path: PathBuf },
    #[error("INGEST_TLS_KEY: {} holds no private key: write a PEM file without a pass phrase", path.display())]
    NoKey { path: PathBuf },
    #[error("{name}: {} is damaged", path.display())]
    Damaged { name: &'static str, path: PathBuf, source: pem::Error },
    #[error("the private key of INGEST_TLS_KEY does not match the certificate of INGEST_TLS_CERT")]
    Unusable(#[source] rustls::Error),
}

const CERT: &str = "INGEST_TLS_CERT";
const KEY: &str = "INGEST_TLS_KEY";

#[derive(PartialEq, Eq)]
struct Content {
    cert: Vec<u8>,
    key: Vec<u8>,
}

/// The certificate that is served now. All handshakes share it.
#[derive(Debug)]
struct Served(RwLock<Arc<CertifiedKey>>);

/// Keeps what is served like the files.
pub(crate) struct Renewal {
    files: TlsFiles,
    served: Arc<Served>,
    seen: Content,
    /// Another content that one look has seen: a change counts once two looks agree, because files are truncated before
    /// they are written.
    candidate: Option<Content>,
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// What actix needs to speak TLS (1.2 and 1.3, ring), and what keeps it up to date.
pub(crate) async fn load(files: TlsFiles) -> Result<(ServerConfig, Renewal), TlsError> {
    let content = read(&files).await?;
    let served = Arc::new(Served(RwLock::new(Arc::new(parse(&files, &content)?))));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Unusable)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&served) as Arc<dyn ResolvesServerCert>);
    Ok((config, Renewal { files, served, seen: content, candidate: None }))
}

impl Renewal {
    /// Reads the files again and again until `stop`. A failure is logged once and the old certificate stays: a pair may be
    /// half written when we look.
    pub(crate) async fn watch(mut self, stop: CancellationToken) {
        let mut logged = None;
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let failure = self.look().await.err().map(|error| chain(&error));
            if let Some(error) = failure.as_ref().filter(|_| failure != logged) {
                tracing::error!(error, "the new certificate cannot be used: the old one is served");
            }
            logged = failure;
        }
    }

    async fn look(&mut self) -> Result<(), TlsError> {
        let content = read(&self.files).await?;
        if content == self.seen {
            self.candidate = None;
            return Ok(());
        }
        if self.candidate.as_ref() != Some(&content) {
            self.candidate = Some(content);
            return Ok(());
        }
        let renewed = Arc::new(parse(&self.files, &content)?);
        *self.served.0.write().unwrap_or_else(PoisonError::into_inner) = renewed;
        self.seen = content;
        tracing::info!("the certificate changed: new connections get the new one");
        Ok(())
    }
}

async fn read(files: &TlsFiles) -> Result<Content, TlsError> {
    let read = async |name, path: &PathBuf| {
        let at = path.clone();
        // It may hang.
        let bytes = detached::run(move || std::fs::read(at)).await.flatten();
        bytes.map_err(|source| TlsError::Unreadable { name, path: path.clone(), source })
    };
    Ok(Content { cert: read(CERT, &files.cert).await?, key: read(KEY, &files.key).await? })
}

fn parse(files: &TlsFiles, content: &Content) -> Result<CertifiedKey, TlsError> {
    let certs = CertificateDer::pem_slice_iter(&content.cert).collect::<Result<Vec<_>, _>>();
    let certs = certs.map_err(|source| TlsError::Damaged { name: CERT, path: files.cert.clone(), source })?;
    if certs.is_empty() {
        return Err(TlsError::NoCertificate { path: files.cert.clone() });
    }
    let key = PrivateKeyDer::from_pem_slice(&content.key).map_err(|source| match source {
        pem::Error::NoItemsFound => TlsError::NoKey { path: files.key.clone() },
        source => TlsError::Damaged { name: KEY, path: files.key.clone(), source },
    })?;
    CertifiedKey::from_der(certs, key, &ring::default_provider()).map_err(TlsError::Unusable)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[tokio::test]
    async fn a_certificate_that_is_truncated_for_a_moment_stays_served() {
        let folder = tempfile::tempdir().unwrap();
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
        let pair = KeyPair::generate().unwrap();
        let issue = || {
            let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
            params.self_signed(&pair).unwrap().pem()
        };
        let chain = issue() + &issue();
        std::fs::write(&cert, &chain).unwrap();
        std::fs::write(&key, pair.serialize_pem()).unwrap();
        let (_, mut renewal) = load(TlsFiles { cert: cert.clone(), key }).await.unwrap();
        let served = |renewal: &Renewal| renewal.served.0.read().unwrap().cert.len();
        // The key fits the first certificate, but without the second no client finds its way to the root.
        std::fs::write(&cert, &chain[..chain.len() / 2]).unwrap();
        renewal.look().await.unwrap();
        std::fs::write(&cert, &chain).unwrap();
        renewal.look().await.unwrap();
        std::fs::write(&cert, "").unwrap();
        renewal.look().await.unwrap();
        assert_eq!(served(&renewal), 2);

        std::fs::write(&cert, issue()).unwrap();
        renewal.look().await.unwrap();
        assert_eq!(served(&renewal), 2);
        renewal.look().await.unwrap();
        assert_eq!(served(&renewal), 1, "two looks agree");
    }
}
