//! The cause of a Redis error, as specific as the remediation requires; each has a hint.

use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, RedisError, ServerErrorKind};

use crate::admin::QueueAdmin;
use crate::connection::CONNECT_TIMEOUT;
use crate::error::{EnqueueError, QueueError};

/// Why a program cannot use its Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    InvalidUrl,
    Refused,
    UnknownHost,
    /// No reply in time.
    Silent,
    /// The connection was closed before the reply.
    Closed,
    TlsOnPlainPort,
    PlainOnTlsPort,
    UnknownAuthority,
    /// The trusted CA certificates cannot be read.
    AuthoritiesUnreadable,
    WrongCertificateName,
    BadCertificate,
    PasswordMissing,
    PasswordWrong,
    /// The ACL denies the user a command or a key.
    NotPermitted,
    WrongDatabase,
    Sentinel,
    /// A node of a Redis Cluster that does not own our keys, or does not support database numbers.
    Cluster,
    /// Not Redis.
    NotRedis,
    /// One of our keys has another type.
    WrongType,
    Replica,
    Loading,
    OutOfMemory,
    /// Redis cannot write to its disk.
    DiskRefuses,
    TooFewReplicas,
    TooManyClients,
    Other,
}

impl Cause {
    /// The cause that the error itself shows.
    pub fn of(error: &QueueError) -> Self {
        match error {
            QueueError::InvalidUrl(_) => Self::InvalidUrl,
            QueueError::Redis { source, .. } => of_redis(source),
        }
    }

    /// The cause of a failed enqueue.
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

    /// How to fix it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::InvalidUrl => "write redis://HOST:PORT",
            Self::Refused => "start Redis, or correct the host and port in REDIS_URL",
            Self::UnknownHost => "correct the host in REDIS_URL: its name does not resolve",
            Self::Silent => "check the host in REDIS_URL, and that no firewall blocks the connection",
            Self::Closed => "check the log of Redis, which closed the connection",
            Self::TlsOnPlainPort => {
                "this port does not use TLS: write redis:// instead of rediss://, or use the TLS port"
            }
            Self::PlainOnTlsPort => "this port requires TLS: write rediss:// instead of redis://",
            Self::UnknownAuthority => {
                "the certificate of Redis is not trusted: set SSL_CERT_FILE to its CA certificate, and SSL_CERT_DIR to the \
                 directory of system certificates (/etc/ssl/certs)"
            }
            Self::AuthoritiesUnreadable => {
                "correct SSL_CERT_FILE and SSL_CERT_DIR: they must name PEM files that this user can read"
            }
            Self::WrongCertificateName => "use the host name of the certificate in REDIS_URL",
            Self::BadCertificate => "renew or replace the certificate of Redis",
            Self::PasswordMissing => {
                "set REDIS_PASSWORD, or add user and password to REDIS_URL: redis://USER:PASSWORD@HOST:PORT"
            }
            Self::PasswordWrong => {
                "correct REDIS_PASSWORD, or user and password in REDIS_URL: redis://USER:PASSWORD@HOST:PORT, encode / ? # @ % \
                 as %2F %3F %23 %40 %25"
            }
            Self::NotPermitted => {
                "allow the user in REDIS_URL to run scripts and commands on Landfall's keys: \
                 ACL SETUSER NAME '~{landfall}:*' +@all -@dangerous +info"
            }
            Self::WrongDatabase => {
                "correct the database number at the end of REDIS_URL: this Redis does not have it"
            }
            Self::Sentinel => {
                "Sentinel is not supported: set REDIS_URL to the primary, or to an address that always routes to it, \
                 such as a proxy or a managed service's"
            }
            Self::Cluster => {
                "Redis Cluster is not supported: use one Redis or Valkey with cluster mode disabled; replicas are \
                 supported"
            }
            Self::NotRedis => "the server there is not Redis: correct host and port in REDIS_URL",
            Self::WrongType => {
                "one of Landfall's keys has another type: delete it, or set another REDIS_KEY_PREFIX"
            }
            Self::Replica => "set REDIS_URL to the primary",
            Self::Loading => "wait until Redis has loaded its data from disk",
            Self::OutOfMemory => "raise maxmemory; landfall status shows the backlog",
            Self::DiskRefuses => "free space on the disk of Redis, and check its log",
            Self::TooFewReplicas => "reconnect its replicas, or lower min-replicas-to-write",
            Self::TooManyClients => "raise maxclients in Redis, or disconnect other clients",
            Self::Other => "check the log of Redis",
        }
    }
}

/// How error messages of rustls-native-certs begin.
const AUTHORITIES_UNREADABLE: [&str; 4] =
    ["failed to read PEM", "failed to open file", "opening directory", "reading directory entries"];

fn of_redis(error: &RedisError) -> Cause {
    // redis-rs converts errors of TLS and of the resolver to text.
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

/// By error code and message.
fn of_answer(code: &str, detail: &str) -> Cause {
    match code {
        "NOPERM" => Cause::NotPermitted,
        // Permission errors within a script have no code of their own.
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
        // Every Redis supports these commands.
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
    /// The cause of an error. When the port may use TLS or not, it connects once more with the other scheme, without
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

/// Whether a Redis, or at least its certificate, is found at an address.
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
