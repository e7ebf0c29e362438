//! The client of the Kubernetes API and the rules every call keeps: an own time limit, no hidden retries, an error
//! that says what was tried. Retrying is the controller's, which knows what else has changed.

use std::time::Duration;

use kube::Client;
use kube::client::ClientBuilder;
use tokio::time::timeout;

use crate::metrics::Requests;

/// Name under which this operator writes.
pub const MANAGER: &str = "threatrelay-operator";

/// The longest a call may take.
const CALL: Duration = Duration::from_secs(15);
/// The longest a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest a connection may be silent: somewhat more than a watch request lasts. Calls have their own limit; what is
/// meant is a watch that is asked for and never answered.
const SILENCE: Duration = Duration::from_secs(80);

/// A call to the API that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The API server refused, or could not be reached.
    #[error("cannot {what}: {}", words(.source))]
    Refused {
        /// What was tried.
        what: String,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// There was no answer in time.
    #[error("cannot {what}: the API server did not answer within {limit:?}")]
    Silent {
        /// What was tried.
        what: String,
        /// The limit.
        limit: Duration,
    },
}

/// The server's words, or why it has none.
fn words(source: &kube::Error) -> String {
    match source {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

impl CallError {
    /// The refusal, where there is one.
    #[must_use]
    pub fn status(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Refused { source, .. } => match &**source {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            Self::Silent { .. } => None,
        }
    }

    /// The object is not what it was when it was read, or is there already.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.status().is_some_and(|status| status.code == 409)
    }

    /// The operator lacks the right, or is not known. (Admission answers 401 and 403, too, in words of its own: those are
    /// about the object.)
    #[must_use]
    pub fn is_unauthorized(&self) -> bool {
        self.status().is_some_and(|status| match status.code {
            401 => status.message == "Unauthorized",
            403 => status.message.contains(" is forbidden: User \""),
            _ => false,
        })
    }

    /// There is no such object, or no such kind.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status().is_some_and(|status| status.code == 404)
    }

    /// A word of a closed set, for metrics and logs.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match (self, self.status().map(|status| status.code)) {
            (Self::Silent { .. }, _) => "timeout",
            (_, Some(403)) => "forbidden",
            (_, Some(404)) => "not_found",
            (_, Some(409)) => "conflict",
            (_, Some(422 | 400)) => "invalid",
            (_, Some(429)) => "throttled",
            (_, Some(_)) => "api_error",
            (_, None) => "unreachable",
        }
    }
}

/// A client with the identity and server of the kubeconfig, or of the pod it runs in. Its requests are counted.
///
/// # Errors
/// When there is neither, or it cannot be used.
pub async fn connect(requests: &Requests) -> Result<Client, kube::Error> {
    of(kube::Config::infer().await.map_err(kube::Error::InferConfig)?, requests)
}

/// A client of this server with this identity that keeps the rules above.
///
/// # Errors
/// When the configuration cannot be used.
pub fn of(mut config: kube::Config, requests: &Requests) -> Result<Client, kube::Error> {
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    config.write_timeout = Some(CALL);
    config.default_retry = false;
    let counting = requests.to(&config.cluster_url);
    Ok(ClientBuilder::try_from(config)?.with_layer(&counting).build())
}

/// Makes a call within the usual time limit. `what` completes "cannot ...".
///
/// # Errors
/// [`CallError`].
pub async fn call<T>(
    what: impl Into<String>,
    answer: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, CallError> {
    call_for(CALL, what, answer).await
}

/// Makes a call within `limit`.
///
/// # Errors
/// [`CallError`].
pub async fn call_for<T>(
    limit: Duration,
    what: impl Into<String>,
    answer: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, CallError> {
    match timeout(limit, answer).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(CallError::Refused { what: what.into(), source: Box::new(source) }),
        Err(_) => Err(CallError::Silent { what: what.into(), limit }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, message: &str) -> CallError {
        let mut status = kube::core::Status::failure(message, "");
        status.code = code;
        CallError::Refused {
            what: "apply Service \"r\"".to_owned(),
            source: Box::new(kube::Error::Api(Box::new(status))),
        }
    }

    #[test]
    fn a_missing_right_is_told_from_a_refusal_by_admission_in_whatever_words() {
        let right = "services \"r\" is forbidden: User \"operator\" cannot patch resource \"services\"";
        let policy = "services \"r\" is forbidden: ValidatingAdmissionPolicy 'p' denied request: cannot be made here";
        for (code, message, expected) in [
            (403, right, true),
            (401, "Unauthorized", true),
            (403, policy, false),
            (403, "services \"r\" is forbidden: exceeded quota: q", false),
            (401, "services \"r\" is invalid: denied request", false),
        ] {
            let error = refused(code, message);
            assert_eq!(error.is_unauthorized(), expected, "{message}");
            assert_eq!(error.to_string(), format!("cannot apply Service \"r\": {message}"));
        }
    }
}
