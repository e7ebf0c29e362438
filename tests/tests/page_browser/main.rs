//! The page at `/` in a real browser: on a narrow screen, light and dark, by keyboard alone, asking nobody but the relay.
//! With `THREATRELAY_SCREENSHOTS` set to a directory, pictures of it are written there.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed step is a failed test")]

mod chromium;

use std::time::Instant;

use base64::Engine as _;
use serde_json::{Value, json};
use tests::eventually::Eventually;
use tests::fake_otx::FakeOtx;
use tests::relay::{Builder, TestRelay, payload};
use tests::schema::Answer;
use tests::world::{dataset, domain, pulse};

use self::chromium::Tab;

const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");

/// Elements whose text has less contrast to what is behind it than WCAG 2.1 asks for (4.5 to 1).
const FAINT: &str = r"(() => {
  const parts = (color) => color.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parts(getComputedStyle(at).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const hasText = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  return [...document.body.querySelectorAll('*')].filter(hasText).filter((element) => {
    if (['SCRIPT', 'STYLE', 'NOSCRIPT'].includes(element.tagName)) return false;
    const [one, other] = [light(parts(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => b - a);
    return (one + 0.05) / (other + 0.05) < 4.5;
  }).map((element) => `${element.tagName} ${element.textContent.trim().slice(0, 40)}`);
})()";

async fn bundled() -> (FakeOtx, TestRelay) {
    let fake = FakeOtx::start().await.unwrap();
    let relay = Builder::new(&fake.url()).rich().set("THREATRELAY_PAGE_LOOKUP", "true").start().await;
    (fake, relay)
}

fn url(relay: &TestRelay) -> String {
    format!("http://{}/", relay.address())
}

async fn keep(tab: &mut Tab, name: &str) {
    if let Some(directory) = std::env::var_os("THREATRELAY_SCREENSHOTS") {
        tab.value("document.querySelector('#ask').scrollIntoView()").await;
        let picture = base64::engine::general_purpose::STANDARD.decode(tab.picture().await).unwrap();
        std::fs::write(std::path::Path::new(&directory).join(format!("{name}.png")), picture).unwrap();
    }
}

/// Fills in and sends the form by keyboard alone, from the top of the page.
async fn look_up(tab: &mut Tab, value: &str, token: &str) {
    for (field, text) in [("value", value), ("token", token)] {
        let focused = format!("document.activeElement.id === '{field}'");
        for _ in 0..20 {
            if tab.value(&focused).await == json!(true) {
                break;
            }
            tab.press("Tab", 9).await;
        }
        assert_eq!(tab.value(&focused).await, json!(true), "{field} cannot be reached by Tab");
        tab.value("document.activeElement.value = ''; 0").await;
        tab.write(text).await;
    }
    tab.press("Enter", 13).await;
    tab.wait_for("document.querySelector('#answer').textContent.includes('Trace ')").await;
}

async fn text(tab: &mut Tab, selector: &str) -> String {
    tab.value(&format!("document.querySelector('{selector}').innerText")).await.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn everyone_but_a_browser_gets_what_the_original_answered() {
    let (_fake, relay) = bundled().await;
    let unknown = relay.send("GET", "/unknown", &[], "").await;
    for headers in [&[][..], &[("accept", "*/*")], &[("accept", "application/json")]] {
        let answer = relay.send("GET", "/", headers, "").await;
        assert_eq!((answer.status, answer.text()), (404, unknown.text()));
        let _ = answer.checked(Answer::HttpError);
        assert_eq!(answer.headers.get("vary"), None);
    }
    assert_eq!(relay.send("POST", "/", &[BROWSER], "").await.status, 404);
    assert_eq!(relay.send("GET", "/unknown", &[BROWSER], "").await.status, 404);
}

#[tokio::test]
async fn the_page_is_small_pinned_by_its_policy_and_told_to_no_cache() {
    let (fake, relay) = bundled().await;
    for (relay, has_form) in [(relay, true), (TestRelay::before(&fake).await, false)] {
        let answer = relay.send("GET", "/", &[BROWSER], "").await;
        assert_eq!(
            (answer.status, &answer.headers["content-type"]),
            (200, &"text/html; charset=utf-8".parse().unwrap())
        );
        assert!(answer.body.len() < 30_000, "{} bytes", answer.body.len());
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(policy.contains("script-src"), has_form);
        assert_eq!(answer.text().contains("<script"), has_form);
        assert_eq!(&answer.headers["cache-control"], "no-store");
        for placeholder in ["{lights}", "{url}", "{types}", "{style}", "{script}", "{lookup}", "{options}", "{age}"] {
            assert!(!answer.text().contains(placeholder), "{placeholder}");
        }
    }
    assert_eq!(fake.total(), 0, "the page asks OTX nothing");
}

#[tokio::test]
async fn it_fits_a_narrow_screen_and_can_be_read_in_both_schemes() {
    let (_fake, relay) = bundled().await;
    let mut grounds = Vec::new();
    for (width, scheme) in [(360, "light"), (360, "dark"), (1000, "light"), (1000, "dark")] {
        let mut tab = Tab::open(width, scheme).await;
        tab.go(&url(&relay)).await;
        look_up(&mut tab, "evil.example", &relay.token()).await;
        keep(&mut tab, &format!("page-{scheme}-{width}")).await;
        assert_eq!(tab.value("document.documentElement.scrollWidth").await, json!(width), "{scheme}");
        assert_eq!(tab.value(FAINT).await, json!([]), "{scheme}");
        grounds.push(tab.value("getComputedStyle(document.body).backgroundColor").await);
    }
    assert_ne!(grounds[0], grounds[1], "dark is light");
}

#[tokio::test]
async fn its_parts_have_names() {
    let (_fake, relay) = bundled().await;
    let mut tab = Tab::open(1000, "light").await;
    tab.go(&url(&relay)).await;
    for (what, expression, expected) in [
        ("a language", "document.documentElement.lang", json!("en")),
        ("one heading of the page", "document.querySelectorAll('h1').length", json!(1)),
        ("one main part", "document.querySelectorAll('main').length", json!(1)),
        (
            "a label for every field",
            "[...document.querySelectorAll('input,select')].filter((it) => !it.labels.length).length",
            json!(0),
        ),
        (
            "a live region for the answer",
            "document.querySelector('#answer').getAttribute('aria-live')",
            json!("polite"),
        ),
        ("no place in the order of Tab by number", "document.querySelectorAll('[tabindex]').length", json!(0)),
    ] {
        assert_eq!(tab.value(expression).await, expected, "{what}");
    }
    let page = text(&mut tab, "body").await;
    for words in ["Relay: ready", "OTX: no outage seen", "threatrelay module-type --url", "sha256", "ipv6"] {
        assert!(page.contains(words), "no {words} in {page}");
    }
}

#[tokio::test]
async fn an_observable_is_looked_up_by_keyboard_alone_and_nobody_else_is_asked() {
    let (_fake, relay) = bundled().await;
    let mut tab = Tab::open(1000, "light").await;
    tab.go(&url(&relay)).await;
    look_up(&mut tab, "evil.example", &relay.token()).await;
    let answer = text(&mut tab, "#answer").await;
    for words in [
        "Known: in ",
        "north-quay-cert",
        "GREEN",
        "Paper Lantern",
        "Win32:Slate",
        "T1566.001",
        "invoice",
        "2026-09-14",
        "Suspicious: ",
        "Trace ",
    ] {
        assert!(answer.contains(words), "no {words} in {answer}");
    }
    look_up(&mut tab, "example.com", &relay.token()).await;
    let answer = text(&mut tab, "#answer").await;
    assert!(answer.contains("Clean: OTX clears it: whitelist"), "{answer}");
    look_up(&mut tab, "nobody.example", &relay.token()).await;
    assert!(text(&mut tab, "#answer").await.contains("Not in any pulse of OTX."));
    let origin = url(&relay);
    assert!(tab.requests().iter().all(|request| request.starts_with(&origin)), "{:?}", tab.requests());
    assert_eq!(tab.complaints(), [""; 0]);
    let kept = tab.value("JSON.stringify([localStorage.length, sessionStorage.length, document.cookie])").await;
    assert_eq!(kept, json!("[0,0,\"\"]"));
}

#[tokio::test]
async fn the_age_of_what_is_shown_is_the_age_of_otxs_answer() {
    let (fake, relay) = bundled().await;
    let mut tab = Tab::open(1000, "light").await;
    tab.go(&url(&relay)).await;
    let asked = Instant::now();
    let least = 2;
    let aged = Eventually::new("the relay's answer is two seconds old");
    aged.ok(async || match age_of(&relay, ("domain", "evil.example")).await {
        Some(age) if age >= least => Ok(()),
        age => Err(format!("{age:?}")),
    })
    .await
    .unwrap();
    let calls = fake.total();
    look_up(&mut tab, "evil.example", &relay.token()).await;
    let shown = shown_age(&mut tab).await;
    assert!((least..=asked.elapsed().as_secs()).contains(&shown), "{shown} s");
    assert_eq!(fake.total(), calls, "OTX was asked again");
    look_up(&mut tab, "nobody.example", &relay.token()).await;
    assert!(fake.total() > calls);
    let shown = shown_age(&mut tab).await;
    assert!(shown < least, "{shown} s for what was just asked");
}

/// How old the page says that OTX's answer is, in seconds.
async fn shown_age(tab: &mut Tab) -> u64 {
    let answer = text(tab, "#answer").await;
    let age = answer.split("OTX said this ").nth(1).and_then(|rest| rest.split(" second").next()?.parse().ok());
    age.unwrap_or_else(|| unreachable!("{answer}"))
}

/// How old the relay says that its answer is.
async fn age_of(relay: &TestRelay, observable: (&str, &str)) -> Option<u64> {
    let answer = relay.post("/observe/observables", payload(&[observable])).await;
    assert_eq!(answer.status, 200);
    answer.headers.get("x-cache-age").map(|age| age.to_str().unwrap().parse().unwrap())
}

#[tokio::test]
async fn what_was_asked_of_nobody_has_no_age() {
    let (_fake, relay) = bundled().await;
    assert_eq!(age_of(&relay, ("ip", "192.168.0.1")).await, None);
    assert_eq!(age_of(&relay, ("ip", "203.0.113.7")).await, Some(0));
}

#[tokio::test]
async fn passive_dns_is_shown_apart_from_pulses() {
    let fake = FakeOtx::start().await.unwrap();
    let builder = Builder::new(&fake.url()).rich().set("THREATRELAY_PAGE_LOOKUP", "true");
    let relay = builder.set("THREATRELAY_OTX_PASSIVE_DNS", "10").start().await;
    let mut tab = Tab::open(360, "dark").await;
    tab.go(&url(&relay)).await;
    look_up(&mut tab, "evil.example", &relay.token()).await;
    let answer = text(&mut tab, "#answer").await;
    for words in [
        "Known: in 3 pulses of OTX.",
        "Passive DNS",
        "evil.example resolved to 203.0.113.7",
        "2025-12-01 to 2026-02-11",
    ] {
        assert!(answer.contains(words), "no {words} in {answer}");
    }
    assert_eq!(tab.value("document.documentElement.scrollWidth").await, json!(360));
    assert_eq!(tab.value(FAINT).await, json!([]));
    assert_eq!(tab.complaints(), [""; 0]);
}

#[tokio::test]
async fn an_error_is_shown_with_the_id_of_its_trace() {
    let (_fake, relay) = bundled().await;
    let mut tab = Tab::open(360, "dark").await;
    tab.go(&url(&relay)).await;
    look_up(&mut tab, "evil.example", "no.token.atall").await;
    let answer = text(&mut tab, "#answer").await;
    assert!(answer.contains("Error: Authorization failed: "), "{answer}");
    let trace = answer.rsplit("Trace ").next().unwrap().trim().to_owned();
    assert!(trace.len() == 32 && trace.bytes().all(|byte| byte.is_ascii_hexdigit()), "{answer}");
}

#[tokio::test]
async fn what_authors_write_is_shown_as_text() {
    let hostile = "<img src=x onerror=\"document.title='owned'\"><b>bold</b>";
    let mut written = pulse("p1", vec![domain("evil.example", "2026-01-01T08:00:00")]);
    (written.name, written.description) = (hostile.to_owned(), hostile.to_owned());
    (written.adversary, written.author.username) = (hostile.to_owned(), hostile.to_owned());
    written.tags = vec![hostile.to_owned()];
    let fake = FakeOtx::with(dataset(vec![written])).await.unwrap();
    let relay = Builder::new(&fake.url()).rich().set("THREATRELAY_PAGE_LOOKUP", "true").start().await;
    let mut tab = Tab::open(1000, "light").await;
    tab.go(&url(&relay)).await;
    look_up(&mut tab, "evil.example", &relay.token()).await;
    assert!(text(&mut tab, "#answer").await.contains(hostile));
    let marks: Value = tab.value("document.querySelectorAll('#answer img, #answer article b').length").await;
    assert_eq!((marks, tab.value("document.title").await), (json!(0), json!("Threat Relay")));
    assert_eq!(tab.complaints(), [""; 0]);
}
