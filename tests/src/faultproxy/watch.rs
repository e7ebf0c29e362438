//! Faults within a watch's stream. Events pass one line at a time; the fault is applied to the counted ones.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream};
use futures_util::{StreamExt, TryStreamExt};
use tokio::time::sleep;

use super::plan::WatchFault;

/// The stream was cut on purpose, or broke.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// On purpose.
    #[error("cut by the fault plan")]
    Cut,
    /// The API server's side.
    #[error(transparent)]
    Upstream(#[from] reqwest::Error),
}

/// Applies `fault` to a watch's stream of bytes.
pub(super) fn faulted(
    upstream: impl Stream<Item = reqwest::Result<Bytes>> + Send + 'static,
    fault: WatchFault,
) -> impl Stream<Item = Result<Bytes, Broken>> + Send + 'static {
    let mut count = 0;
    let later = lines(upstream).map_ok(move |line| {
        let bookmark = is_bookmark(&line);
        count += u32::from(!bookmark);
        steps_for(line, bookmark, count, fault)
    });
    stream::iter([Ok(steps_at_start(fault))])
        .chain(later)
        .map_ok(|steps| stream::iter(steps).then(take))
        .try_flatten()
        .scan(false, |ended, item| {
            let go_on = !*ended;
            *ended = matches!(item, Ok(None) | Err(_));
            std::future::ready(go_on.then_some(item))
        })
        .try_filter_map(|chunk| std::future::ready(Ok(chunk)))
}

/// One thing to do with the client's stream.
enum Step {
    Send(Bytes),
    Pause(Duration),
    Silence,
    End,
    Cut,
}

fn steps_at_start(fault: WatchFault) -> Vec<Step> {
    match fault {
        WatchFault::EndAfter { events: 0 } => vec![Step::End],
        WatchFault::SilenceAfter { events: 0 } => vec![Step::Silence],
        WatchFault::GoneAfter { events: 0 } => vec![Step::Send(Bytes::from_static(GONE)), Step::End],
        _ => Vec::new(),
    }
}

fn steps_for(line: Bytes, bookmark: bool, count: u32, fault: WatchFault) -> Vec<Step> {
    let at = |event: u32| !bookmark && count == event;
    match fault {
        WatchFault::Drop { event } if at(event) => Vec::new(),
        WatchFault::Delay { event, millis } if at(event) => {
            vec![Step::Pause(Duration::from_millis(millis)), Step::Send(line)]
        }
        WatchFault::Duplicate { event } if at(event) => vec![Step::Send(line.clone()), Step::Send(line)],
        WatchFault::CutWithin { event } if at(event) => {
            // The pause lets the first half leave before the reset discards what is queued.
            let half = line.slice(..line.len() / 2);
            vec![Step::Send(half), Step::Pause(Duration::from_millis(50)), Step::Cut]
        }
        WatchFault::Garble { event } if at(event) => vec![Step::Send(Bytes::from_static(b"{\"type\":\"ADD\0\n"))],
        WatchFault::EndAfter { events } if at(events) => vec![Step::Send(line), Step::End],
        WatchFault::SilenceAfter { events } if at(events) => vec![Step::Send(line), Step::Silence],
        WatchFault::GoneAfter { events } if at(events) => {
            vec![Step::Send(line), Step::Send(Bytes::from_static(GONE)), Step::End]
        }
        WatchFault::BookmarksOnly if !bookmark => Vec::new(),
        _ => vec![Step::Send(line)],
    }
}

/// `Ok(None)` ends the stream.
async fn take(step: Step) -> Result<Option<Bytes>, Broken> {
    match step {
        Step::Send(bytes) => Ok(Some(bytes)),
        Step::Pause(time) => {
            sleep(time).await;
            Ok(Some(Bytes::new()))
        }
        Step::Silence => std::future::pending().await,
        Step::End => Ok(None),
        Step::Cut => Err(Broken::Cut),
    }
}

/// The event the API server sends when a watch's revision is too old.
const GONE: &[u8] = b"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\
\"status\":\"Failure\",\"message\":\"too old resource version: 1 (2)\",\"reason\":\"Expired\",\"code\":410}}\n";

fn is_bookmark(line: &[u8]) -> bool {
    line.starts_with(b"{\"type\":\"BOOKMARK\"")
}

/// Regroups a stream of bytes into lines that keep their line ends.
fn lines(
    upstream: impl Stream<Item = reqwest::Result<Bytes>> + Send + 'static,
) -> impl Stream<Item = Result<Bytes, Broken>> + Send + 'static {
    let mut pending = BytesMut::new();
    upstream
        .map_ok(move |chunk| {
            pending.extend_from_slice(&chunk);
            let mut whole = Vec::new();
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                whole.push(Ok(pending.split_to(end + 1).freeze()));
            }
            stream::iter(whole)
        })
        .map_err(Broken::from)
        .try_flatten()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    const STREAM: [&str; 4] = [
        "{\"type\":\"ADDED\",\"n\":1}\n{\"type\":\"BOOK",
        "MARK\",\"n\":0}\n",
        "{\"type\":\"ADDED\",\"n\":2}\n",
        "{\"type\":\"ADDED\",\"n\":3}\n",
    ];

    /// The events that arrive, by their number; `X` is a broken stream.
    async fn arrives(fault: WatchFault) -> String {
        let upstream = stream::iter(STREAM.map(|part| Ok(Bytes::from_static(part.as_bytes()))));
        let items: Vec<_> = faulted(upstream, fault).collect().await;
        let mut text = String::new();
        for item in items {
            match item {
                Ok(bytes) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
                Err(_) => text.push_str("X\n"),
            }
        }
        let number = |line: &str| {
            let event: serde_json::Value = serde_json::from_str(line).ok()?;
            Some(event.get("n").map_or_else(|| event["object"]["code"].to_string(), ToString::to_string))
        };
        text.lines().map(|line| number(line).unwrap_or_else(|| line.into())).collect::<Vec<_>>().join(" ")
    }

    #[tokio::test]
    async fn each_fault_changes_the_stream_as_it_says() {
        let cases = [
            (WatchFault::Drop { event: 2 }, "1 0 3"),
            (WatchFault::Delay { event: 1, millis: 1 }, "1 0 2 3"),
            (WatchFault::Duplicate { event: 2 }, "1 0 2 2 3"),
            (WatchFault::CutWithin { event: 2 }, "1 0 {\"type\":\"ADX"),
            (WatchFault::Garble { event: 1 }, "{\"type\":\"ADD\0 0 2 3"),
            (WatchFault::EndAfter { events: 1 }, "1"),
            (WatchFault::EndAfter { events: 0 }, ""),
            (WatchFault::GoneAfter { events: 2 }, "1 0 2 410"),
            (WatchFault::BookmarksOnly, "0"),
        ];
        for (fault, expected) in cases {
            assert_eq!(arrives(fault).await, expected, "{fault:?}");
        }
    }

    #[tokio::test]
    async fn silence_keeps_the_stream_open() {
        let waited = tokio::time::timeout(Duration::from_millis(50), arrives(WatchFault::SilenceAfter { events: 1 }));
        assert!(waited.await.is_err(), "the stream ended");
    }
}
