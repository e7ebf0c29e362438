//! Watches that are asleep, of which nobody hears any more: what they swallow is made up for with the next request, not only
//! when each resource is looked at anyway.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::eventually::Eventually;
use tests::faultproxy::FaultProxy;
use tests::faultproxy::call::Class;
use tests::faultproxy::plan::{Action, Commit, Match, Occurrence, Plan, WatchFault};
use tests::operator::{Health, Kubelet, Scene, plane};

/// A request of a watch lasts up to 72 s, and one that is never answered ends after 80; then there is some work to do.
const LATE: Duration = Duration::from_secs(110);

#[tokio::test]
async fn what_a_dead_watch_swallows_comes_with_its_next_request() {
    tokio::join!(
        swallowed("silent", Action::Watch(WatchFault::SilenceAfter { events: 0 })),
        swallowed("unanswered", Action::BlackHole(Commit::Before))
    );
}

/// The first watch of resources suffers this, then a resource is made.
async fn swallowed(name: &str, action: Action) {
    let plane = plane().await;
    let (api, namespace) = (plane.api().clone(), plane.namespace(name).await.unwrap());
    let proxy = FaultProxy::start(api.access()).await.unwrap();
    let matching = Match { class: Some(Class::Watch), resource: Some("threatrelays".to_owned()), ..Match::default() };
    proxy.arm(Plan { matching, occurrence: Occurrence::Nth(1), action });
    let operator = Scene::operator(proxy.access(), &namespace, &["--leader-election", "false"]).await;
    let kubelet = Kubelet::start(api.clone(), namespace.clone(), Health::Ready);
    let scene = Scene { api, namespace, proxy, operator, kubelet };
    let is_struck = async || scene.proxy.trace().iter().any(|entry| entry.struck).then_some(()).ok_or("not yet");
    Eventually::new("the watch is dead").within(Duration::from_secs(30)).ok(is_struck).await.unwrap();
    scene.create("r", json!({})).await;
    let begun = Instant::now();
    let path = scene.path("apps/v1/deployments", "r");
    let made = Eventually::new("what was swallowed is made up for").within(LATE).every(Duration::from_millis(250));
    made.ok(async || scene.api.get(&path).await).await.unwrap();
    println!("{name}: made up for after {:.0?}", begun.elapsed());
}
