//! A watch that does not stall: what kube's watcher gives, with a limit on the time an initial list may take (the client
//! has none) and pauses after errors.

use std::fmt::Debug;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

/// One watch request ends after so many seconds: less than load balancers leave an idle connection open.
const WATCH: u32 = 200;
/// The longest between two events of an initial list, pauses after errors included.
const LIST: Duration = Duration::from_mins(1);

type Events<K> = Pin<Box<dyn Stream<Item = Result<Event<K>, watcher::Error>> + Send>>;

/// Watches the objects of `api` with these labels, forever.
pub fn watch<K>(
    api: Api<K>,
    labels: Option<&str>,
) -> impl Stream<Item = Result<Event<K>, watcher::Error>> + Send + use<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut config = watcher::Config::default().timeout(WATCH);
    if let Some(labels) = labels {
        config = config.labels(labels);
    }
    let begin = move || -> Events<K> { Box::pin(watcher::watcher(api.clone(), config.clone()).default_backoff()) };
    let first = begin();
    stream::unfold((first, true), move |(mut events, mut listing)| {
        let begin = begin.clone();
        async move {
            loop {
                let next = if listing { timeout(LIST, events.next()).await } else { Ok(events.next().await) };
                match next {
                    Ok(Some(event)) => {
                        match &event {
                            Ok(Event::Init) => listing = true,
                            Ok(Event::InitDone) => listing = false,
                            _ => {}
                        }
                        return Some((event, (events, listing)));
                    }
                    Ok(None) | Err(_) => {
                        tracing::warn!("a list was not answered in time; asking again");
                        (events, listing) = (begin(), true);
                    }
                }
            }
        }
    })
}
