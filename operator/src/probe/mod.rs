//! What relays say of OTX. A ready pod is asked by its address, about once a minute and sooner while OTX refuses its key or
//! cannot be reached, beside the reconciles and not within them: a reconcile takes the latest answer, and only an answer
//! that says something else than the one before causes one. A pod that cannot be asked leaves the matter unknown; that is no error.

mod verdict;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt};
use k8s_openapi::jiff::Timestamp;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{sleep, timeout};

pub use self::verdict::Verdict;
use crate::controller::backoff::spread;

/// Time between two looks at a relay, at least.
const EVERY: Duration = Duration::from_secs(45);
/// The same while OTX refuses its key or is out of its reach: whoever mends that waits to see it.
const SOON: Duration = Duration::from_secs(10);
/// Time between two rounds, in each of which those are looked at whose time has come.
const ROUND: Duration = Duration::from_secs(15);
/// The longest that a connection to a pod may take to be made.
const CONNECT: Duration = Duration::from_secs(2);
/// The longest that a relay may take to answer: it asks OTX, and gives that 8 s.
const ANSWER: Duration = Duration::from_secs(10);
/// Relays asked at once.
const AT_ONCE: usize = 8;
/// Most bytes of an answer.
const BYTES: usize = 64 << 10;
/// Changes that wait to be taken.
const CHANGES: usize = 256;

/// What was last seen through a relay.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// What it says.
    pub verdict: Verdict,
    /// When.
    pub at: Timestamp,
}

/// The relays that are asked. Clones share them.
#[derive(Clone)]
pub struct Probes {
    relays: Arc<Mutex<HashMap<String, Watched>>>,
    http: reqwest::Client,
    changed: broadcast::Sender<(String, String)>,
}

#[derive(Clone, Debug)]
struct Watched {
    namespace: String,
    name: String,
    /// Address and admin port of a ready pod.
    target: Option<(IpAddr, u16)>,
    look: Option<Look>,
}

impl Watched {
    fn is_due(&self, now: Timestamp) -> bool {
        let Some(Look { verdict, at }) = &self.look else { return true };
        let pause = match verdict {
            Verdict::Unauthorized(_) | Verdict::Unreachable(_) => SOON,
            Verdict::Reachable(_) | Verdict::RateLimited(_) | Verdict::Unknown(_) => EVERY,
        };
        now.duration_since(*at).unsigned_abs() >= pause
    }
}

impl Probes {
    /// Nobody is asked yet.
    ///
    /// # Errors
    /// When there is no HTTP client.
    pub fn new() -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self { relays: Arc::default(), http, changed: broadcast::Sender::new(CHANGES) })
    }

    /// Keeps an eye on a relay through this pod, and gives what was last seen. At the first pod it is asked at once.
    pub async fn keep(&self, uid: &str, namespace: &str, name: &str, target: Option<(IpAddr, u16)>) -> Option<Look> {
        let known = {
            let mut relays = self.lock();
            let watched = relays.entry(uid.to_owned()).or_insert_with(|| Watched {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                target: None,
                look: None,
            });
            watched.target = target;
            if target.is_none() {
                watched.look = None;
            }
            watched.look.clone()
        };
        match (known, target) {
            (None, Some(target)) => {
                let look = ask(&self.http, target).await;
                self.note(uid, &look);
                Some(look)
            }
            (known, _) => known,
        }
    }

    /// Looks at a relay no more.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// Namespace and name of relays that now say something else, from now on.
    pub fn changes(&self) -> impl Stream<Item = (String, String)> + Send + use<> {
        stream::unfold(self.changed.subscribe(), async |mut changes| {
            loop {
                match changes.recv().await {
                    Ok(change) => return Some((change, changes)),
                    // Those that were missed are seen at their next turn.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        })
    }

    /// Asks all relays, each in its time.
    pub async fn run(self) {
        loop {
            sleep(spread(ROUND)).await;
            let relays = self.lock().clone();
            let (http, now) = (&self.http, Timestamp::now());
            let asked = stream::iter(relays.into_iter().filter_map(|(uid, watched)| {
                let target = watched.target.filter(|_| watched.is_due(now))?;
                Some(async move { (uid, watched, ask(http, target).await) })
            }));
            let mut asked = asked.buffer_unordered(AT_ONCE);
            while let Some((uid, Watched { namespace, name, look: before, .. }, look)) = asked.next().await {
                self.note(&uid, &look);
                if before.is_none_or(|before| before.verdict != look.verdict) {
                    let _nobody_works = self.changed.send((namespace, name));
                }
            }
        }
    }

    fn note(&self, uid: &str, look: &Look) {
        if let Some(watched) = self.lock().get_mut(uid) {
            watched.look = Some(look.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Watched>> {
        self.relays.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask(http: &reqwest::Client, (address, port): (IpAddr, u16)) -> Look {
    let url = format!("http://{}/upstream", std::net::SocketAddr::from((address, port)));
    let answer = async {
        let mut response = http.get(&url).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > BYTES {
                break;
            }
        }
        Ok::<_, reqwest::Error>(body)
    };
    let verdict = match timeout(ANSWER, answer).await {
        Ok(Ok(body)) => Verdict::of(&body),
        Ok(Err(error)) => {
            let step = "does the NetworkPolicy let the operator in (--pod-namespace, --pod-labels)?";
            Verdict::Unknown(format!("the pod at {address} could not be asked: {}; {step}", error.without_url()))
        }
        Err(_) => Verdict::Unknown(format!("the pod at {address} did not answer within {ANSWER:?}")),
    };
    Look { verdict, at: Timestamp::now() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_asked_about_once_a_minute_and_sooner_while_somebody_mends_it() {
        let is_due = |verdict: Verdict, seconds: i64| {
            let look = Look { verdict, at: Timestamp::UNIX_EPOCH };
            let watched = Watched { namespace: String::new(), name: String::new(), target: None, look: Some(look) };
            watched.is_due(Timestamp::from_second(seconds).unwrap_or_default())
        };
        for (verdict, seconds) in [
            (Verdict::Reachable(1), 45),
            (Verdict::RateLimited(Vec::new()), 45),
            (Verdict::Unknown(String::new()), 45),
            (Verdict::Unauthorized(Vec::new()), 10),
            (Verdict::Unreachable(String::new()), 10),
        ] {
            assert!(!is_due(verdict.clone(), seconds - 1), "{verdict:?}");
            assert!(is_due(verdict.clone(), seconds), "{verdict:?}");
        }
    }
}
