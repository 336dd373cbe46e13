//! One of our programs as a process that can be started, killed, frozen and restarted.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::Context as _;

/// A supervised program.
pub(crate) struct Service {
    /// Such as `worker-2`; also the name of its log file.
    pub(crate) name: String,
    program: PathBuf,
    environment: Vec<(String, String)>,
    log: PathBuf,
    child: Option<Child>,
    /// Set while it is frozen by SIGSTOP.
    frozen_until: Option<Instant>,
    /// How often it exited without being killed; `last_exit` is its last status.
    pub(crate) unexpected_exits: u32,
    pub(crate) last_exit: String,
}

impl Service {
    pub(crate) fn new(
        name: String,
        program: PathBuf,
        environment: Vec<(String, String)>,
        log: PathBuf,
    ) -> Self {
        Self {
            name,
            program,
            environment,
            log,
            child: None,
            frozen_until: None,
            unexpected_exits: 0,
            last_exit: String::new(),
        }
    }

    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        let log =
            File::options().create(true).append(true).open(&self.log).context("cannot write the log")?;
        let child = Command::new(&self.program)
            .env_clear()
            .env("PATH", env!("PATH"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot write the log")?)
            .stderr(log)
            .spawn()
            .with_context(|| {
                format!("cannot start {}; build it with scripts/chaos", self.program.display())
            })?;
        self.child = Some(child);
        Ok(())
    }

    /// Kills it with SIGKILL and restarts it at once.
    pub(crate) fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        self.start()
    }

    pub(crate) fn freeze_until(&mut self, until: Instant) {
        self.signal("STOP");
        self.frozen_until = Some(until);
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen_until.is_some()
    }

    pub(crate) fn thaw(&mut self) {
        if self.frozen_until.take().is_some() {
            self.signal("CONT");
        }
    }

    /// Thaws it when its freeze is over, and restarts it if it has exited.
    pub(crate) fn supervise(&mut self) -> anyhow::Result<()> {
        if self.frozen_until.is_some_and(|until| Instant::now() >= until) {
            self.thaw();
        }
        let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().transpose()) else {
            return Ok(());
        };
        self.unexpected_exits += 1;
        self.last_exit = status.context("cannot get the status of a process")?.to_string();
        self.start()
    }

    fn kill(&mut self) {
        self.frozen_until = None;
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    fn signal(&self, name: &str) {
        if let Some(child) = &self.child {
            Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().ok();
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}
