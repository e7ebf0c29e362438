//! A watch that does not stall: what kube's watcher gives, with a limit on the time an initial list may take (the client
//! has none) and pauses after errors. Each request of a watch is short: a connection that is dead without a word is found
//! out some seconds after the end of its request was due, and what it swallowed comes with the next request. What fails is
//! logged once until it goes on, and now and then if it does not.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, DefaultBackoff, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};

use crate::controller::backoff::spread;

/// One watch request lasts about so long. It is what an event may be late that a dead connection swallowed, and at rest
/// all that the watches cost: one request a kind. Load balancers leave idle connections open for longer.
const WATCH: Duration = Duration::from_mins(1);
/// Between two log lines about a watch that fails. One that goes on and has nothing to say cannot be told from it.
const SILENCE: Duration = Duration::from_mins(10);
/// The longest that a page of a list may take, pauses after errors not counted.
const LIST: Duration = Duration::from_secs(20);

type Events<K> = Pin<Box<dyn Stream<Item = Result<Event<K>, watcher::Error>> + Send>>;

/// Watches the objects of `api` with these labels, forever. The log calls it `place`.
pub fn watch<K>(
    api: Api<K>,
    labels: Option<&str>,
    place: String,
) -> impl Stream<Item = Result<Event<K>, watcher::Error>> + Send + use<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let lasts = u32::try_from(spread(WATCH).as_secs()).unwrap_or(u32::MAX);
    let mut config = watcher::Config::default().timeout(lasts);
    if let Some(labels) = labels {
        config = config.labels(labels);
    }
    let begin = move || -> Events<K> { Box::pin(watcher::watcher(api.clone(), config.clone())) };
    let first =
        Watching { events: begin(), listing: true, told: None, backoff: DefaultBackoff::default(), pause: None };
    let place = Arc::<str>::from(place);
    stream::unfold(first, move |mut watching| {
        let (begin, place) = (begin.clone(), Arc::clone(&place));
        async move {
            loop {
                let Some(event) = watching.next().await else {
                    tracing::warn!(watch = &*place, "a list was not answered in time; asking again");
                    watching.again(begin());
                    continue;
                };
                watching.tell(&event, &place);
                if matches!(&event, Err(watcher::Error::WatchFailed(kube::Error::SerdeError(_)))) {
                    watching.again(begin());
                }
                return Some((event, watching));
            }
        }
    })
}

/// How far a watch is.
struct Watching<K> {
    events: Events<K>,
    /// The initial list is under way.
    listing: bool,
    /// When the log was last told that it fails.
    told: Option<Instant>,
    backoff: DefaultBackoff,
    /// Before the next event is asked for.
    pause: Option<Duration>,
}

impl<K> Watching<K> {
    /// Nothing is a list that was not answered in time.
    async fn next(&mut self) -> Option<Result<Event<K>, watcher::Error>> {
        if let Some(pause) = self.pause.take() {
            sleep(pause).await;
        }
        let event =
            if self.listing { timeout(LIST, self.events.next()).await.ok()? } else { self.events.next().await }?;
        match &event {
            Ok(event) => {
                self.listing = (self.listing || matches!(event, Event::Init)) && !matches!(event, Event::InitDone);
                self.backoff.reset();
            }
            Err(_) => self.pause = self.backoff.next(),
        }
        Some(event)
    }

    /// Goes on with another watch, which lists first.
    fn again(&mut self, events: Events<K>) {
        (self.events, self.listing) = (events, true);
    }

    fn tell(&mut self, event: &Result<Event<K>, watcher::Error>, place: &str) {
        match event {
            Err(error) if self.told.is_none_or(|told| told.elapsed() >= SILENCE) => {
                tracing::warn!(%error, watch = place, "watching failed; trying again");
                self.told = Some(Instant::now());
            }
            Err(error) => tracing::debug!(%error, watch = place, "watching still fails"),
            // A list that begins anew is only a try.
            Ok(Event::Init) => {}
            Ok(_) if self.told.take().is_some() => tracing::info!(watch = place, "watching goes on"),
            Ok(_) => {}
        }
    }
}
