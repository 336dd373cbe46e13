//! Checks what the API key may read, with one probe for each kind of object.

use error_text::root_cause;
use futures_util::future::join_all;
use openai_client::{Client, Permission, Scope};

use super::findings::{Check, Finding};

/// The result of each probe.
pub(super) struct Permissions(Vec<(Scope, Permission)>);

pub(super) async fn probe(client: &Client) -> Permissions {
    let probes = Scope::ALL.iter().map(|scope| async move { (*scope, client.probe(*scope).await) });
    Permissions(join_all(probes).await)
}

impl Permissions {
    /// Whether the key is valid: it may read something.
    pub(super) fn has_any(&self) -> bool {
        self.0.iter().any(|(_, permission)| matches!(permission, Permission::Granted))
    }

    /// One finding for all kinds that the key may read, one for each that it may not, and one for each reason why it is
    /// not known.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let (mut granted, mut missing) = (Vec::new(), Vec::new());
        let mut not_known: Vec<(String, Vec<&str>)> = Vec::new();
        for (scope, permission) in &self.0 {
            let reason = match permission {
                Permission::Granted => {
                    granted.push(scope.as_str());
                    continue;
                }
                Permission::Missing(error) => {
                    missing.push(not_granted(*scope, error.status().unwrap_or_default()));
                    continue;
                }
                Permission::NotKnown(error) => match error.status() {
                    Some(status) => format!("the server answered with status {status}"),
                    None => root_cause(error),
                },
                Permission::NotOpenAi => {
                    "the server has an object for an ID that cannot exist, so it is not the OpenAI API"
                        .to_owned()
                }
            };
            match not_known.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, scopes)) => scopes.push(scope.as_str()),
                None => not_known.push((reason, vec![scope.as_str()])),
            }
        }
        let granted = (!granted.is_empty())
            .then(|| Check::Permissions.ok(format!("OPENAI_API_KEY may read {}", listed(&granted, "and"))));
        let not_known = not_known.into_iter().map(|(reason, scopes)| {
            let scopes = listed(&scopes, "or");
            Check::Permissions.warning(
                format!("it is not known whether OPENAI_API_KEY may read {scopes}: {reason}"),
                "run landfall doctor again later, and check OPENAI_BASE_URL if it stays so",
            )
        });
        granted.into_iter().chain(missing).chain(not_known).collect()
    }
}

/// Wrong if it costs results of responses or batches, which most installations are for; a key without the others may be
/// intended.
fn not_granted(scope: Scope, status: u16) -> Finding {
    let what = format!("OPENAI_API_KEY may not read {scope} ({status}): {}", loss(scope));
    let hint = format!("grant the key {}{}", permission(scope), afterwards(scope));
    match scope {
        Scope::Responses | Scope::Batches | Scope::Files => Check::Permissions.wrong(what, hint),
        Scope::FineTuningJobs | Scope::Models | Scope::Containers | Scope::SafetyAlerts | Scope::Agents => {
            Check::Permissions.warning(what, hint)
        }
    }
}

fn loss(scope: Scope) -> &'static str {
    match scope {
        Scope::Responses => "response.* events are retried, and end as dead letters without their response",
        Scope::Batches => {
            "batch.* events are retried, and end as dead letters without their batch and its results"
        }
        Scope::Files => {
            "batch.* events are retried, and end as dead letters without the rows of their output and error files; \
             fine_tuning.job.succeeded events likewise, without their metrics"
        }
        Scope::FineTuningJobs => {
            "fine_tuning.job.* events are retried, and end as dead letters without their job"
        }
        Scope::Models => {
            "fine_tuning.job.succeeded events are retried, and end as dead letters without their model"
        }
        Scope::Containers => {
            "responses are stored without the files that code interpreters made, which OpenAI deletes 20 minutes after \
             the container's last use"
        }
        Scope::SafetyAlerts => {
            "safety.alert.created events are stored without their alert, whose explanation OpenAI keeps only for a while"
        }
        Scope::Agents => "agent.session.* events are stored without their session, its turns and its files",
    }
}

/// The name of the permission, or of the area in the dashboard where OpenAI does not publish the name.
fn permission(scope: Scope) -> &'static str {
    match scope {
        Scope::Responses => "the permission api.responses.read",
        Scope::Batches => "the permission api.batch.read",
        Scope::Files => "the permission api.files.read",
        Scope::FineTuningJobs => "the permission to read fine-tuning jobs",
        Scope::Models => "the permission api.model.read",
        Scope::Containers => "the permission to read containers",
        Scope::SafetyAlerts => "the permission api.safety.alerts.read",
        Scope::Agents => "the permission api.agents.read",
    }
}

fn afterwards(scope: Scope) -> &'static str {
    match scope {
        Scope::Responses | Scope::Batches | Scope::Files | Scope::FineTuningJobs | Scope::Models => {
            ", then run landfall retry"
        }
        Scope::SafetyAlerts | Scope::Agents => ", then run landfall fetch --missing",
        Scope::Containers => "",
    }
}

/// `a`, `a and b`, `a, b and c`.
fn listed(words: &[&str], conjunction: &str) -> String {
    match words {
        [] => String::new(),
        [word] => (*word).to_owned(),
        [first @ .., last] => format!("{} {conjunction} {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_missing_permission_names_what_to_grant_and_what_is_lost() {
        for scope in Scope::ALL {
            let finding = serde_json::to_string(&not_granted(*scope, 401)).unwrap();
            assert!(finding.contains(&format!("may not read {scope} (401)")), "{finding}");
            assert!(finding.contains("grant the key the permission"), "{finding}");
        }
    }

    #[test]
    fn words_are_listed() {
        assert_eq!(listed(&["a"], "and"), "a");
        assert_eq!(listed(&["a", "b", "c"], "or"), "a, b or c");
    }
}
