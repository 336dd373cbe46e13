//! What every request to the fake shares: the fixtures, the faults in force, the log of requests, the keys.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use webhook::SigningSecret;

use crate::config::FakeConfig;
use crate::faults::Faults;
use crate::fixtures::{Fixtures, demo_fixtures};
use crate::request_log::RequestLog;

pub(crate) struct State {
    fixtures: RwLock<Fixtures>,
    access: RwLock<Access>,
    pub(crate) faults: Faults,
    pub(crate) log: RequestLog,
    /// Signs what `POST /_control/send` sends, unless that names another one.
    pub(crate) webhook_secret: Option<SigningSecret>,
}

/// Who may read, and how.
#[derive(Clone)]
pub(crate) struct Access {
    /// None: every key will do, and so will none.
    pub(crate) api_key: Option<String>,
    /// A key that is right, but for another project: it finds nothing.
    pub(crate) foreign_api_key: Option<String>,
    /// Whether file content is served in ranges, with an ETag.
    pub(crate) ranges: bool,
    /// Whether that ETag is a weak one.
    pub(crate) weak_etags: bool,
}

impl State {
    pub(crate) fn new(config: FakeConfig) -> Self {
        Self {
            fixtures: RwLock::new(demo_fixtures()),
            access: RwLock::new(Access {
                api_key: config.api_key,
                foreign_api_key: config.foreign_api_key,
                ranges: config.ranges,
                weak_etags: config.weak_etags,
            }),
            faults: Faults::default(),
            log: RequestLog::default(),
            webhook_secret: config.webhook_secret,
        }
    }

    pub(crate) fn fixtures(&self) -> RwLockReadGuard<'_, Fixtures> {
        self.fixtures.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn fixtures_mut(&self) -> RwLockWriteGuard<'_, Fixtures> {
        self.fixtures.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn access(&self) -> Access {
        self.access.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn change_access(&self, change: impl FnOnce(&mut Access)) {
        change(&mut self.access.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// As at the start: demo objects, no faults, an empty log. Keys and the like stay.
    pub(crate) fn reset(&self) {
        *self.fixtures_mut() = demo_fixtures();
        self.faults.clear();
        self.log.clear();
    }
}
