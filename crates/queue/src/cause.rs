//! Why Redis does not do what is asked, cause apart as far as a person must act differently, each with what to do.

use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, RedisError, ServerErrorKind};

use crate::admin::QueueAdmin;
use crate::connection::CONNECT_TIMEOUT;
use crate::error::{EnqueueError, QueueError};

/// What is wrong between a program and its Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    InvalidUrl,
    Refused,
    UnknownHost,
    /// No answer in time.
    Silent,
    /// The connection was closed before an answer came.
    Closed,
    TlsOnPlainPort,
    PlainOnTlsPort,
    UnknownAuthority,
    /// The certificates that are to be trusted cannot be read.
    AuthoritiesUnreadable,
    WrongCertificateName,
    BadCertificate,
    PasswordMissing,
    PasswordWrong,
    /// An access list keeps the user from a command or a key.
    NotPermitted,
    WrongDatabase,
    Sentinel,
    /// A node of a Redis Cluster, which does not hold our keys, or takes no database number.
    Cluster,
    /// Something else than Redis.
    NotRedis,
    /// One of our keys holds something else.
    WrongType,
    Replica,
    Loading,
    OutOfMemory,
    /// It cannot write its own disk.
    DiskRefuses,
    TooFewReplicas,
    TooManyClients,
    Other,
}

impl Cause {
    /// What the error itself tells.
    pub fn of(error: &QueueError) -> Self {
        match error {
            QueueError::InvalidUrl(_) => Self::InvalidUrl,
            QueueError::Redis { source, .. } => of_redis(source),
        }
    }

    /// The same of an event that was not taken.
    pub fn of_enqueue(error: &EnqueueError) -> Self {
        match error {
            EnqueueError::OutOfMemory(source)
            | EnqueueError::ReadOnly(source)
            | EnqueueError::Loading(source)
            | EnqueueError::Timeout(source)
            | EnqueueError::Unavailable(source)
            | EnqueueError::Refused(source) => of_redis(source),
            EnqueueError::Overloaded => Self::Silent,
            EnqueueError::Full => Self::Other,
        }
    }

    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::InvalidUrl => "write redis://HOST:PORT",
            Self::Refused => "start Redis, or let REDIS_URL name where it runs",
            Self::UnknownHost => "correct the host in REDIS_URL: its name has no address",
            Self::Silent => "see that REDIS_URL names the right host, and that no firewall is between",
            Self::Closed => "read the log of Redis, which closed the connection",
            Self::TlsOnPlainPort => {
                "this port speaks no TLS: write redis:// instead of rediss://, or name the TLS port"
            }
            Self::PlainOnTlsPort => "this port wants TLS: write rediss:// instead of redis://",
            Self::UnknownAuthority => {
                "nothing here trusts the certificate of Redis: name the file of its authority in SSL_CERT_FILE, and the \
                 folder of the system's in SSL_CERT_DIR (/etc/ssl/certs)"
            }
            Self::AuthoritiesUnreadable => {
                "correct SSL_CERT_FILE and SSL_CERT_DIR: PEM files of authorities that this user may read"
            }
            Self::WrongCertificateName => "let REDIS_URL name Redis as its certificate does",
            Self::BadCertificate => "renew or replace the certificate of Redis",
            Self::PasswordMissing => {
                "set REDIS_PASSWORD, or write user and password into REDIS_URL: redis://USER:PASSWORD@HOST:PORT"
            }
            Self::PasswordWrong => {
                "correct REDIS_PASSWORD, or user and password in REDIS_URL: redis://USER:PASSWORD@HOST:PORT, with / ? # @ % \
                 written %2F %3F %23 %40 %25"
            }
            Self::NotPermitted => {
                "let the user in REDIS_URL run scripts and commands on our keys: \
                 ACL SETUSER NAME '~{landfall}:*' +@all -@dangerous +info"
            }
            Self::WrongDatabase => {
                "correct the database number at the end of REDIS_URL: this Redis has no such"
            }
            Self::Sentinel => {
                "Sentinel is not supported: let REDIS_URL name the primary, or an address that always leads to it, \
                 such as a proxy or a managed service's"
            }
            Self::Cluster => {
                "Redis Cluster is not supported: use one Redis or Valkey (cluster mode disabled), with replicas if \
                 you like"
            }
            Self::NotRedis => "something else answers there: correct host and port in REDIS_URL",
            Self::WrongType => {
                "a key of ours holds something else: delete it, or set another REDIS_KEY_PREFIX"
            }
            Self::Replica => "let REDIS_URL name the primary",
            Self::Loading => "wait until it has read its data from disk",
            Self::OutOfMemory => "raise maxmemory; landfall status says what waits",
            Self::DiskRefuses => "free space on the disk of Redis, and read its log",
            Self::TooFewReplicas => "bring its replicas back, or lower min-replicas-to-write",
            Self::TooManyClients => "raise maxclients of Redis, or end other clients",
            Self::Other => "read the log of Redis",
        }
    }
}

/// How rustls-native-certs begins.
const AUTHORITIES_UNREADABLE: [&str; 4] =
    ["failed to read PEM", "failed to open file", "opening directory", "reading directory entries"];

fn of_redis(error: &RedisError) -> Cause {
    // redis-rs turns TLS's and the resolver's errors into text.
    let text = error.to_string();
    match error.kind() {
        ErrorKind::AuthenticationFailed => Cause::PasswordWrong,
        ErrorKind::InvalidClientConfig => Cause::InvalidUrl,
        ErrorKind::Io if text.contains("invalid peer certificate") => of_certificate(&text),
        ErrorKind::Io if AUTHORITIES_UNREADABLE.iter().any(|words| text.contains(words)) => {
            Cause::AuthoritiesUnreadable
        }
        ErrorKind::Io if text.contains("lookup address") => Cause::UnknownHost,
        ErrorKind::Io if error.is_timeout() => Cause::Silent,
        ErrorKind::Io if error.is_connection_refusal() => Cause::Refused,
        ErrorKind::Io => Cause::Closed,
        ErrorKind::Parse => Cause::NotRedis,
        ErrorKind::Server(ServerErrorKind::NoPerm) => Cause::NotPermitted,
        ErrorKind::Server(ServerErrorKind::ReadOnly) => Cause::Replica,
        ErrorKind::Server(ServerErrorKind::BusyLoading) => Cause::Loading,
        ErrorKind::Server(
            ServerErrorKind::Moved
            | ServerErrorKind::Ask
            | ServerErrorKind::CrossSlot
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::TryAgain,
        ) => Cause::Cluster,
        _ => of_answer(error.code().unwrap_or_default(), error.detail().unwrap_or_default()),
    }
}

fn of_certificate(text: &str) -> Cause {
    if text.contains("UnknownIssuer") || text.contains("CaUsedAsEndEntity") {
        Cause::UnknownAuthority
    } else if text.contains("not valid for name") || text.contains("NotValidForName") {
        Cause::WrongCertificateName
    } else {
        Cause::BadCertificate
    }
}

/// By the error's first word, and what follows it.
fn of_answer(code: &str, detail: &str) -> Cause {
    match code {
        "NOPERM" => Cause::NotPermitted,
        // What a script is not allowed is cause in words.
        "ERR" if detail.contains("The user executing the script can't") => Cause::NotPermitted,
        "NOAUTH" | "DENIED" => Cause::PasswordMissing,
        "WRONGPASS" => Cause::PasswordWrong,
        "WRONGTYPE" => Cause::WrongType,
        "OOM" => Cause::OutOfMemory,
        "MISCONF" => Cause::DiskRefuses,
        "NOREPLICAS" => Cause::TooFewReplicas,
        "ERR" if detail.contains("DB index") => Cause::WrongDatabase,
        "ERR" if detail.contains("cluster") => Cause::Cluster,
        "ERR" if detail.contains("max number of clients") => Cause::TooManyClients,
        // No Redis goes without these.
        "ERR" if ["'SELECT'", "'TIME'", "'EVALSHA'"].iter().any(|name| is_unknown(detail, name)) => {
            Cause::Sentinel
        }
        _ => Cause::Other,
    }
}

fn is_unknown(detail: &str, command: &str) -> bool {
    let detail = detail.to_uppercase();
    detail.contains("UNKNOWN COMMAND") && detail.contains(command)
}

impl QueueAdmin {
    /// The cause of an error. Where a port may speak TLS or not, it is asked once more in the other way, without
    /// credentials.
    pub async fn diagnose(&self, error: &QueueError) -> Cause {
        let cause = Cause::of(error);
        if !matches!(cause, Cause::Silent | Cause::Closed) {
            return cause;
        }
        let (other_scheme, mismatch) = match self.client.get_connection_info().addr() {
            ConnectionAddr::TcpTls { host, port, .. } => {
                (ConnectionAddr::Tcp(host.clone(), *port), Cause::TlsOnPlainPort)
            }
            ConnectionAddr::Tcp(host, port) => {
                let (host, port) = (host.clone(), *port);
                let tls = ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None };
                (tls, Cause::PlainOnTlsPort)
            }
            _ => return cause,
        };
        if speaks_redis(other_scheme).await { mismatch } else { cause }
    }
}

/// Whether a Redis, or at least its certificate, is met at an address.
async fn speaks_redis(address: ConnectionAddr) -> bool {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(CONNECT_TIMEOUT));
    let asked = async {
        let client = Client::open(address)?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        redis::cmd("PING").query_async::<()>(&mut connection).await
    };
    match asked.await {
        Ok(()) => true,
        Err(error) => error.code().is_some() || error.to_string().contains("certificate"),
    }
}
