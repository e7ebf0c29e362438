//! What the relay tells whoever watches over it: whether OTX accepts the keys that it holds.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use serde_json::Value;
use tests::fake_otx::{FakeOtx, KEY, Route};
use tests::relay::{Builder, TestRelay};

/// A relay before `fake` that holds `keys`, in a folder that lives as long as the second value.
async fn relay(fake: &FakeOtx, keys: &[(&str, &str)]) -> (TestRelay, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    for (name, key) in keys {
        std::fs::write(folder.path().join(name), key).unwrap();
    }
    let directory = folder.path().display().to_string();
    let relay = Builder::new(&fake.url()).set("THREATRELAY_OTX_KEYS_DIR", &directory).start().await;
    (relay, folder)
}

async fn upstream(relay: &TestRelay) -> Value {
    let url = format!("http://{}/upstream", relay.admin());
    let answer = reqwest::get(url).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn each_held_key_is_named_with_what_otx_says_to_it() {
    let fake = FakeOtx::start().await.unwrap();
    let (relay, _folder) = relay(&fake, &[("default", KEY), ("team-a", "no-such-key")]).await;
    let told = upstream(&relay).await;
    assert_eq!(
        (&told["keys"]["default"]["result"], &told["keys"]["team-a"]["result"]),
        (&"ok".into(), &"unauthorized".into())
    );
    let text = told.to_string();
    assert!(!text.contains(KEY) && !text.contains("no-such-key"), "{text}");
}

#[tokio::test]
async fn otx_is_asked_only_when_somebody_wants_to_know_and_once_for_all_of_them() {
    let fake = FakeOtx::start().await.unwrap();
    let (relay, _folder) = relay(&fake, &[("default", KEY)]).await;
    assert_eq!(fake.count(Route::Me), 0);
    let (one, two, three) = tokio::join!(upstream(&relay), upstream(&relay), upstream(&relay));
    assert!(one == two && two == three, "{one} {two} {three}");
    assert_eq!(fake.count(Route::Me), 1);
}

#[tokio::test]
async fn a_relay_whose_keys_come_in_tokens_has_none_to_tell_of() {
    let fake = FakeOtx::start().await.unwrap();
    let relay = TestRelay::before(&fake).await;
    assert_eq!(upstream(&relay).await, serde_json::json!({"keys": {}}));
    assert_eq!(fake.total(), 0);
}
