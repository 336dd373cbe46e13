//! TLS without a proxy: serves the certificate of `INGEST_TLS_CERT` and `INGEST_TLS_KEY` from memory, and reloads it
//! when the files change. New handshakes use the new certificate; open connections are not affected.

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

/// Reading two small files is cheap. Compares contents instead of times, which works with symbolic links and volumes.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// PEM files: the server certificate followed by its chain, and its key as PKCS#8, PKCS#1 or SEC1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// Why the certificate cannot be served. Names the file and the fix, and never contains its content.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("INGEST_TLS_CERT and INGEST_TLS_KEY must be set together: set both or neither")]
    Half,
    #[error("{name}: cannot read {}", path.display())]
    Unreadable { name: &'static str, path: PathBuf, source: std::io::Error },
    #[error("INGEST_TLS_CERT: {} contains no certificate: it must be a PEM file with the server certificate first", path.display())]
    NoCertificate { path: PathBuf },
    #[error("INGEST_TLS_KEY: {} contains no private key: it must be a PEM file without a passphrase", path.display())]
    NoKey { path: PathBuf },
    #[error("{name}: {} is not a valid PEM file", path.display())]
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

/// The certificate that is being served, shared by all handshakes.
#[derive(Debug)]
struct Served(RwLock<Arc<CertifiedKey>>);

/// Reloads the served certificate when the files change.
pub(crate) struct CertificateReloader {
    files: TlsFiles,
    served: Arc<Served>,
    seen: Content,
    /// New content, seen once: a change counts only after two checks agree, because files are truncated before they are
    /// written.
    candidate: Option<Content>,
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// The TLS configuration for actix (1.2 and 1.3, ring), and the reloader that keeps it up to date.
pub(crate) async fn load(files: TlsFiles) -> Result<(ServerConfig, CertificateReloader), TlsError> {
    let content = read(&files).await?;
    let served = Arc::new(Served(RwLock::new(Arc::new(parse(&files, &content)?))));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Unusable)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&served) as Arc<dyn ResolvesServerCert>);
    Ok((config, CertificateReloader { files, served, seen: content, candidate: None }))
}

impl CertificateReloader {
    /// Checks the files until `stop` is cancelled. A failure is logged once and the old certificate remains: the pair
    /// may be half written at the time.
    pub(crate) async fn watch(mut self, stop: CancellationToken) {
        let mut logged = None;
        while stop.run_until_cancelled(tokio::time::sleep(CHECK_INTERVAL)).await.is_some() {
            let failure = self.check().await.err().map(|error| chain(&error));
            if let Some(error) = failure.as_ref().filter(|_| failure != logged) {
                tracing::error!(error, "cannot use the new certificate: still serving the old one");
            }
            logged = failure;
        }
    }

    async fn check(&mut self) -> Result<(), TlsError> {
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
        tracing::info!("reloaded the certificate: new connections use it");
        Ok(())
    }
}

async fn read(files: &TlsFiles) -> Result<Content, TlsError> {
    let read = async |name, path: &PathBuf| {
        let at = path.clone();
        // The read may hang.
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
    async fn a_briefly_truncated_certificate_does_not_replace_the_old_one() {
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
        let (_, mut reloader) = load(TlsFiles { cert: cert.clone(), key }).await.unwrap();
        let served = |reloader: &CertificateReloader| reloader.served.0.read().unwrap().cert.len();
        // The key matches the first certificate, but without the second one clients cannot verify the chain.
        std::fs::write(&cert, &chain[..chain.len() / 2]).unwrap();
        reloader.check().await.unwrap();
        std::fs::write(&cert, &chain).unwrap();
        reloader.check().await.unwrap();
        std::fs::write(&cert, "").unwrap();
        reloader.check().await.unwrap();
        assert_eq!(served(&reloader), 2);

        std::fs::write(&cert, issue()).unwrap();
        reloader.check().await.unwrap();
        assert_eq!(served(&reloader), 2);
        reloader.check().await.unwrap();
        assert_eq!(served(&reloader), 1, "two checks agree");
    }
}
