//! Every action of the fault proxy does what it says, between a client and the real API server.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::error::Error;
use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tests::cluster::{Api, ApiError, ControlPlane};
use tests::faultproxy::FaultProxy;
use tests::faultproxy::call::{Class, Verb};
use tests::faultproxy::plan::{Action, Commit, CrashPoint, Match, Occurrence, Plan, WatchFault};
use tokio::sync::OnceCell;

/// One namespace seen through a proxy and directly.
struct Scene {
    proxy: FaultProxy,
    /// Through the proxy.
    client: Api,
    /// Past it.
    truth: Api,
    maps: String,
}

impl Scene {
    async fn new() -> Self {
        static PLANE: OnceCell<ControlPlane> = OnceCell::const_new();
        let plane = PLANE.get_or_init(async || ControlPlane::start().await.unwrap()).await;
        let proxy = FaultProxy::start(plane.api().access()).await.unwrap();
        let client = Api::new(proxy.access().clone()).unwrap();
        let namespace = plane.namespace("fault").await.unwrap();
        let maps = format!("/api/v1/namespaces/{namespace}/configmaps");
        Self { proxy, client, truth: plane.api().clone(), maps }
    }

    /// A scene whose next write is struck.
    async fn write_struck_by(action: Action) -> Self {
        let scene = Self::new().await;
        let matching = Match { class: Some(Class::Write), ..Match::default() };
        scene.proxy.arm(Plan { matching, occurrence: Occurrence::Nth(1), action });
        scene
    }

    async fn write(&self, name: &str) -> Result<Value, ApiError> {
        self.client.create(&self.maps, &map(name)).await
    }

    async fn is_stored(&self, name: &str) -> bool {
        match self.truth.get(&format!("{}/{name}", self.maps)).await {
            Ok(_) => true,
            Err(error) if error.status() == Some(404) => false,
            Err(error) => panic!("{error}"),
        }
    }
}

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"n": "1"}})
}

#[tokio::test]
async fn without_a_plan_everything_passes_and_is_in_the_trace() {
    let scene = Scene::new().await;
    let made = scene.write("m").await.unwrap();
    let path = format!("{}/m", scene.maps);
    scene.client.apply(&path, &json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"n": "2"}})).await.unwrap();
    assert_eq!(scene.client.get(&path).await.unwrap()["data"]["n"], "2");
    scene.client.get(&format!("{}/absent", scene.maps)).await.unwrap_err();

    let trace = scene.proxy.trace();
    let seen: Vec<_> = trace.iter().map(|e| (e.number, e.call.verb, e.call.name.as_str(), e.status)).collect();
    let expected = [
        (1, Verb::Create, "m", Some(201)),
        (2, Verb::Apply, "m", Some(200)),
        (3, Verb::Get, "m", Some(200)),
        (4, Verb::Get, "absent", Some(404)),
    ];
    assert_eq!(seen, expected);
    assert_eq!(trace[1].call.manager, "tests");
    assert_eq!(trace[0].resource_version.as_deref(), made["metadata"]["resourceVersion"].as_str());
    assert!(trace.iter().all(|entry| !entry.struck));
}

#[tokio::test]
async fn the_trace_file_has_one_json_line_a_request() {
    let scene = Scene::new().await;
    scene.write("m").await.unwrap();
    scene.client.get(&scene.maps).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    scene.proxy.write_trace(&folder.path().join("trace.jsonl")).unwrap();
    let text = std::fs::read_to_string(folder.path().join("trace.jsonl")).unwrap();
    let verbs: Vec<Value> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["verb"].clone()).collect();
    assert_eq!(verbs, ["create", "list"]);
}

#[tokio::test]
async fn only_the_named_occurrence_of_a_matching_request_is_struck() {
    let scene = Scene::new().await;
    let matching = Match { verb: Some(Verb::Create), resource: Some("configmaps".into()), ..Match::default() };
    let action = Action::Answer { status: 500, retry_after: None, commit: Commit::Before };
    scene.proxy.arm(Plan { matching, occurrence: Occurrence::Nth(2), action });
    scene.write("one").await.unwrap();
    scene.client.get(&scene.maps).await.unwrap();
    assert_eq!(scene.write("two").await.unwrap_err().status(), Some(500));
    scene.write("three").await.unwrap();
    let struck: Vec<_> = scene.proxy.trace().into_iter().filter(|e| e.struck).map(|e| e.call.name).collect();
    assert_eq!(struck, ["two"]);
}

#[tokio::test]
async fn error_answers_have_the_reason_of_their_status_and_store_nothing() {
    let expected = [
        (403, "Forbidden"),
        (404, "NotFound"),
        (409, "Conflict"),
        (422, "Invalid"),
        (429, "TooManyRequests"),
        (500, "InternalError"),
        (503, "ServiceUnavailable"),
        (504, "Timeout"),
    ];
    for (status, expected) in expected {
        let scene =
            Scene::write_struck_by(Action::Answer { status, retry_after: None, commit: Commit::Before }).await;
        let Err(ApiError::Refused { status: seen, reason, .. }) = scene.write("m").await else {
            panic!("{status} did not arrive")
        };
        assert_eq!((seen, reason.as_str()), (status, expected));
        assert!(!scene.is_stored("m").await, "{status} stored the object");
    }
}

#[tokio::test]
async fn a_committed_504_stores_the_object() {
    let action = Action::Answer { status: 504, retry_after: None, commit: Commit::After };
    let scene = Scene::write_struck_by(action).await;
    assert_eq!(scene.write("m").await.unwrap_err().status(), Some(504));
    assert!(scene.is_stored("m").await);
    assert_eq!(scene.proxy.trace()[0].status, Some(201), "the trace has the server's own answer");
}

#[tokio::test]
async fn a_429_says_when_to_come_back() {
    let action = Action::Answer { status: 429, retry_after: Some(7), commit: Commit::Before };
    let scene = Scene::write_struck_by(action).await;
    let body = map("m");
    let response = scene.client.open(Method::POST, &scene.maps, Some(("application/json", &body))).await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (429, "7"));
}

#[tokio::test]
async fn a_reset_is_a_reset_before_and_after_the_commit() {
    for (commit, stored) in [(Commit::Before, false), (Commit::After, true)] {
        let scene = Scene::write_struck_by(Action::Reset(commit)).await;
        let error = scene.write("m").await.unwrap_err();
        assert!(is_reset(&error), "{commit:?}: {error:?}");
        assert_eq!(scene.is_stored("m").await, stored, "{commit:?}");
    }
}

#[tokio::test]
async fn a_black_hole_never_answers_before_and_after_the_commit() {
    for (commit, stored) in [(Commit::Before, false), (Commit::After, true)] {
        let scene = Scene::write_struck_by(Action::BlackHole(commit)).await;
        assert!(hangs(scene.write("m")).await, "{commit:?}: there was an answer");
        assert_eq!(scene.is_stored("m").await, stored, "{commit:?}");
    }
}

#[tokio::test]
async fn a_delayed_request_is_done_later() {
    let scene = Scene::write_struck_by(Action::Delay { millis: 300 }).await;
    let begun = Instant::now();
    scene.write("m").await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_sliced_answer_arrives_whole_but_slowly() {
    let scene = Scene::write_struck_by(Action::Slice { bytes: 50, millis: 5 }).await;
    let body = map("m");
    let response = scene.client.open(Method::POST, &scene.maps, Some(("application/json", &body))).await.unwrap();
    let begun = Instant::now();
    let text = response.text().await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["metadata"]["name"], "m");
    let pieces = u32::try_from(text.len() / 50).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(5) * (pieces - 1), "{pieces} pieces in {:?}", begun.elapsed());
}

#[tokio::test]
async fn reads_can_be_answered_from_an_old_revision() {
    let scene = Scene::new().await;
    let path = format!("{}/m", scene.maps);
    let before = scene.truth.get(&scene.maps).await.unwrap()["metadata"]["resourceVersion"].clone();
    let first = scene.truth.create(&scene.maps, &map("m")).await.unwrap();
    let old = first["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    scene.truth.merge(&path, &json!({"data": {"n": "2"}})).await.unwrap();

    let pin = |revision: &str| Plan {
        matching: Match { class: Some(Class::Read), ..Match::default() },
        occurrence: Occurrence::From(1),
        action: Action::Stale { resource_version: revision.to_owned() },
    };
    scene.proxy.arm(pin(&old));
    let list = scene.client.get(&scene.maps).await.unwrap();
    let stale = list["items"].as_array().unwrap().iter().find(|item| item["metadata"]["name"] == "m").unwrap();
    assert_eq!(stale["data"]["n"], "1");
    assert_eq!(scene.client.get(&path).await.unwrap(), first, "the object is as it was, with its kind");

    scene.proxy.arm(pin(before.as_str().unwrap()));
    assert_eq!(scene.client.get(&path).await.unwrap_err().status(), Some(404), "before its creation it is not there");

    scene.proxy.disarm();
    assert_eq!(scene.client.get(&path).await.unwrap()["data"]["n"], "2");
}

#[tokio::test]
async fn a_crash_before_the_request_is_sent_leaves_nothing_and_the_next_life_works() {
    let scene = Scene::write_struck_by(Action::Crash(CrashPoint::BeforeSend)).await;
    assert!(crashes(&scene, scene.write("m")).await, "the client had an answer");
    assert!(!scene.is_stored("m").await);
    scene.proxy.client_restarts();
    scene.write("m").await.unwrap();
}

#[tokio::test]
async fn a_crash_after_the_commit_leaves_the_object_and_no_answer() {
    let scene = Scene::write_struck_by(Action::Crash(CrashPoint::AfterCommit)).await;
    assert!(crashes(&scene, scene.write("m")).await, "the client had an answer");
    assert!(scene.is_stored("m").await);
    scene.proxy.client_restarts();
    assert_eq!(scene.write("m").await.unwrap_err().status(), Some(409));
}

#[tokio::test]
async fn a_crash_after_the_answer_stops_the_next_request() {
    let scene = Scene::write_struck_by(Action::Crash(CrashPoint::AfterAnswer)).await;
    scene.write("one").await.unwrap();
    scene.proxy.crashed().await;
    let mut second = tokio::spawn({
        let (client, maps) = (scene.client.clone(), scene.maps.clone());
        async move { client.create(&maps, &map("two")).await }
    });
    assert!(hangs(&mut second).await, "the second request was answered");
    scene.proxy.client_restarts();
    let error = second.await.unwrap().unwrap_err();
    assert!(is_reset(&error), "{error:?}");
    assert!(!scene.is_stored("two").await, "the old life's request was done");
}

#[tokio::test]
async fn watch_faults_change_what_the_client_sees() {
    // Objects a, b and c are made; the client's stream is read until it ends or is silent.
    let cases = [
        (WatchFault::Drop { event: 2 }, "a c", "open"),
        (WatchFault::Delay { event: 2, millis: 100 }, "a b c", "open"),
        (WatchFault::Duplicate { event: 2 }, "a b b c", "open"),
        (WatchFault::CutWithin { event: 2 }, "a half", "reset"),
        (WatchFault::Garble { event: 2 }, "a half c", "open"),
        (WatchFault::EndAfter { events: 2 }, "a b", "end"),
        (WatchFault::SilenceAfter { events: 2 }, "a b", "open"),
        (WatchFault::GoneAfter { events: 1 }, "a 410", "end"),
        (WatchFault::BookmarksOnly, "", "open"),
    ];
    for (fault, events, end) in cases {
        let scene = Scene::new().await;
        let (seen, how) = watch(&scene, Action::Watch(fault)).await;
        assert_eq!((seen.as_str(), how), (events, end), "{fault:?}");
    }
}

#[tokio::test]
async fn a_watch_can_be_refused_with_410() {
    let scene = Scene::new().await;
    let matching = Match { verb: Some(Verb::Watch), ..Match::default() };
    let action = Action::Answer { status: 410, retry_after: None, commit: Commit::Before };
    scene.proxy.arm(Plan { matching, occurrence: Occurrence::Nth(1), action });
    let path = format!("{}?watch=1", scene.maps);
    assert_eq!(scene.client.open(Method::GET, &path, None).await.unwrap().status().as_u16(), 410);
    assert_eq!(scene.client.open(Method::GET, &path, None).await.unwrap().status().as_u16(), 200);
}

/// Opens a watch struck by `action`, makes a, b and c, and tells what arrived and how it ended.
async fn watch(scene: &Scene, action: Action) -> (String, &'static str) {
    let matching = Match { verb: Some(Verb::Watch), ..Match::default() };
    scene.proxy.arm(Plan { matching, occurrence: Occurrence::Nth(1), action });
    let now = scene.truth.get(&scene.maps).await.unwrap()["metadata"]["resourceVersion"].clone();
    let path = format!(
        "{}?watch=1&fieldSelector=metadata.name!=kube-root-ca.crt&resourceVersion={}",
        scene.maps,
        now.as_str().unwrap()
    );
    let mut stream = scene.client.open(Method::GET, &path, None).await.unwrap();
    for name in ["a", "b", "c"] {
        scene.truth.create(&scene.maps, &map(name)).await.unwrap();
    }
    let (mut text, mut how) = (String::new(), "open");
    while let Ok(part) = tokio::time::timeout(Duration::from_millis(700), stream.chunk()).await {
        match part {
            Ok(Some(bytes)) => text.push_str(&String::from_utf8_lossy(&bytes)),
            Ok(None) => how = "end",
            Err(error) => how = if is_reset(&error) { "reset" } else { "error" },
        }
        if how != "open" {
            break;
        }
    }
    let name = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|_| json!({"object": {"code": "half"}}));
        let object = &event["object"];
        object["metadata"]["name"].as_str().map_or_else(|| object["code"].to_string().replace('"', ""), str::to_owned)
    };
    (text.lines().map(name).collect::<Vec<_>>().join(" "), how)
}

/// Whether there is no answer for half a second.
async fn hangs<T>(request: impl Future<Output = T>) -> bool {
    tokio::time::timeout(Duration::from_millis(500), request).await.is_err()
}

/// Whether the proxy announces the crash while the request is unanswered.
async fn crashes<T>(scene: &Scene, request: impl Future<Output = T>) -> bool {
    tokio::select! {
        () = scene.proxy.crashed() => true,
        _ = request => false,
    }
}

fn is_reset(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if inner.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::ConnectionReset) {
            return true;
        }
        cause = inner.source();
    }
    false
}
