//! The shared state of the server: fixtures, active faults, request log, API keys.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

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
    created_jobs: RwLock<CreatedJobs>,
    /// Signs the webhooks of created jobs, and by default those of `POST /_control/send`.
    pub(crate) webhook_secret: Option<SigningSecret>,
}

/// Settings of responses and batches that are created.
#[derive(Clone)]
pub(crate) struct CreatedJobs {
    /// How long they take.
    pub(crate) end_after: Duration,
    /// The receiver of their webhooks; `None` sends none.
    pub(crate) send_to: Option<String>,
}

/// Access settings of the API.
#[derive(Clone)]
pub(crate) struct Access {
    /// `None` accepts any key, or none.
    pub(crate) api_key: Option<String>,
    /// A valid key of another project, which sees no objects.
    pub(crate) foreign_api_key: Option<String>,
    /// Whether file content supports range requests, with an ETag.
    pub(crate) ranges: bool,
    /// Whether the ETag is weak.
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
            created_jobs: RwLock::new(CreatedJobs { end_after: config.end_after, send_to: config.send_to }),
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

    pub(crate) fn created_jobs(&self) -> CreatedJobs {
        self.created_jobs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn change_created_jobs(&self, change: impl FnOnce(&mut CreatedJobs)) {
        change(&mut self.created_jobs.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Restores the demo objects, and clears faults and log. Access settings and those of created jobs are kept.
    pub(crate) fn reset(&self) {
        *self.fixtures_mut() = demo_fixtures();
        self.faults.clear();
        self.log.clear();
    }
}
