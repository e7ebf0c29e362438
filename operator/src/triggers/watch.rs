//! A watch that does not stall: what kube's watcher gives, with a limit on the time an initial list may take (the client
//! has none) and pauses after errors. Each request of a watch is short: a connection that is dead without a word is found
//! out some seconds after the end of its request was due, and what it swallowed comes with the next request. What fails is
//! logged once until it goes on, and now and then if it does not.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};

use crate::controller::backoff::spread;

/// One watch request lasts about so long. It is what an event may be late that a dead connection swallowed, and at rest
/// all that the watches cost: one request a kind. Load balancers leave idle connections open for longer.
const WATCH: Duration = Duration::from_mins(1);
/// Between two log lines about a watch that fails. One that goes on and has nothing to say cannot be told from it.
const SILENCE: Duration = Duration::from_mins(10);
/// The longest between two events of an initial list, pauses after errors included.
const LIST: Duration = Duration::from_mins(1);

/// Before a list after an event that could not be read: such a server may have more of them.
const PAUSE: Duration = Duration::from_secs(2);

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
    let begin = move || -> Events<K> { Box::pin(watcher::watcher(api.clone(), config.clone()).default_backoff()) };
    let (first, place) = (begin(), Arc::<str>::from(place));
    stream::unfold((first, true, None::<Instant>), move |(mut events, mut listing, mut told)| {
        let (begin, place) = (begin.clone(), Arc::clone(&place));
        async move {
            loop {
                let next = if listing { timeout(LIST, events.next()).await } else { Ok(events.next().await) };
                if let Ok(Some(event)) = next {
                    listing |= matches!(event, Ok(Event::Init));
                    listing &= !matches!(event, Ok(Event::InitDone));
                    match &event {
                        Err(error) if told.is_none_or(|told| told.elapsed() >= SILENCE) => {
                            tracing::warn!(%error, watch = &*place, "watching failed; trying again");
                            told = Some(Instant::now());
                        }
                        Err(error) => tracing::debug!(%error, watch = &*place, "watching still fails"),
                        // A list that begins anew is only a try.
                        Ok(Event::Init) => {}
                        Ok(_) if told.take().is_some() => tracing::info!(watch = &*place, "watching goes on"),
                        Ok(_) => {}
                    }
                    if matches!(&event, Err(watcher::Error::WatchFailed(kube::Error::SerdeError(_)))) {
                        sleep(spread(PAUSE)).await;
                        (events, listing) = (begin(), true);
                    }
                    return Some((event, (events, listing, told)));
                }
                tracing::warn!(watch = &*place, "a list was not answered in time; asking again");
                (events, listing) = (begin(), true);
            }
        }
    })
}
