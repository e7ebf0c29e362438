//! The known defects of the original relay, one test each: what it did wrong, this relay does not do.
#![expect(clippy::expect_used, reason = "a failed step is a failed test")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::fake_otx::{At, FakeOtx, Fault, How, KEY, Route, Rule, SECOND_KEY};
use tests::issuer::{Issuer, claims};
use tests::jwks_server::{Document, JwksServer};
use tests::relay::{Builder, JWKS_HOST, TestRelay, payload};
use tests::reply::{docs, errors, pulses};
use tests::schema;
use tests::tls::{Authority, Certificate};
use tests::trial::{run, trial};
use tests::world::{dataset, domain, pulse, row};
use threatrelay::demo::upstream::{Dataset, IndicatorType};

const WHEN: &str = "2026-01-01T08:00:00";
const EVIL: (&str, &str) = ("domain", "evil.example");

/// `evil.example` in three pulses.
fn known() -> Dataset {
    dataset(["p1", "p2", "p3"].map(|id| pulse(id, vec![domain("evil.example", WHEN)])).into())
}

async fn world() -> (FakeOtx, TestRelay) {
    let fake = FakeOtx::with(known()).await.expect("a fake OTX");
    let relay = Builder::new(&fake.url())
        .set("THREATRELAY_OTX_CALL_TIMEOUT", "1s")
        .set("THREATRELAY_OTX_DEADLINE", "3s")
        .start()
        .await;
    (fake, relay)
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn main() -> ExitCode {
    run(vec![
        trial("defect_01_a_caller_cannot_name_the_host_of_the_signing_key", || async {
            let fake = FakeOtx::with(known()).await.expect("a fake OTX");
            let (attacker, authority) = (Issuer::generate("k").expect("a key"), Authority::new());
            let server = JwksServer::start(&authority, Certificate::Good, Document::of(&[&attacker])).await;
            let server = server.expect("a JWKS host");
            let relay = Builder::new(&fake.url())
                .unset("THREATRELAY_AUTH_JWKS_FILE")
                .set("THREATRELAY_AUTH_ALLOW_PRIVATE_JWKS", "true")
                .set_file("THREATRELAY_EXTRA_CA_FILE", authority.pem())
                .start()
                .await;
            let token = attacker.token(&claims(KEY, &server.host())).expect("a token");
            let body = relay.post_with("/observe/observables", &token, payload(&[EVIL])).await;
            assert!(body.text().contains("Wrong jwks_host in JWT payload"), "{}", body.text());
            assert_eq!((server.connections(), fake.total()), (0, 0));
        }),
        trial("defect_01_the_audience_is_not_the_callers_own_host_header", || async {
            let (fake, relay) = world().await;
            let token = relay.token_with(&json!({"aud": "http://chosen.example"}));
            let headers = [("authorization", format!("Bearer {token}")), ("host", "chosen.example".to_owned())];
            let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
            let answer = relay.send("POST", "/health", &headers, "").await;
            answer.refuses("authorization error", "Authorization failed: Wrong configuration-token-audience");
            assert_eq!(fake.total(), 0);
        }),
        trial("defect_02_a_silent_otx_does_not_hang_the_relay", || async {
            let (fake, relay) = world().await;
            fake.add(Rule::always(Fault::Break(At::Start, How::Stall)));
            let begun = Instant::now();
            let body = relay.observe(&[EVIL]).await;
            assert_eq!(errors(&body)[0].0, "oops");
            assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        }),
        trial("defect_02_a_silent_otx_does_not_hold_up_others", || async {
            let (fake, relay) = world().await;
            fake.add(Rule::on(Route::General, Fault::Break(At::Start, How::Stall)).containing("slow"));
            let names: Vec<String> = (0..8).map(|index| format!("slow-{index}.example")).collect();
            let slow = names.iter().map(|name| async {
                let slow_one = [("domain", name.as_str())];
                relay.observe(&slow_one).await
            });
            let slow = futures_util::future::join_all(slow);
            let quick = async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let begun = Instant::now();
                let body = relay.observe_with(&json!({"key": SECOND_KEY}), &[EVIL]).await;
                (begun.elapsed(), body)
            };
            let (_, (elapsed, body)) = tokio::join!(slow, quick);
            assert_eq!(docs(&body, "sightings").len(), 3);
            assert!(elapsed < Duration::from_millis(900), "{elapsed:?}");
        }),
        trial("defect_03_one_tenants_limit_is_not_anothers", || async {
            let (_fake, relay) = world().await;
            let ask = |limit: usize, key: &'static str| {
                let relay = &relay;
                async move {
                    let body = relay.observe_with(&json!({"CTR_ENTITIES_LIMIT": limit, "key": key}), &[EVIL]).await;
                    assert_eq!(docs(&body, "sightings").len(), limit);
                }
            };
            for _ in 0..25 {
                tokio::join!(ask(1, KEY), ask(3, SECOND_KEY), ask(2, KEY));
            }
        }),
        trial("defect_04_a_null_limit_is_the_default", || async {
            let (_fake, relay) = world().await;
            let body = relay.observe_with(&json!({"CTR_ENTITIES_LIMIT": null}), &[EVIL]).await;
            assert_eq!((docs(&body, "sightings").len(), errors(&body)), (3, Vec::new()));
        }),
        trial("defect_05_an_endless_listing_costs_neither_time_nor_the_other_data", || async {
            let (fake, relay) = world().await;
            for route in [Route::Listing, Route::Detail] {
                fake.add(Rule::on(route, endless()).containing("/pulses/p2"));
            }
            let begun = Instant::now();
            let body = relay.observe(&[EVIL]).await;
            assert_eq!(pulses(&body, "sightings"), ["p1", "p3"], "{:?}", errors(&body));
            assert_eq!((errors(&body).len(), errors(&body)[0].1.as_str()), (1, "error"));
            assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        }),
        trial("defect_06_a_failing_listing_is_told_and_costs_itself_alone", || async {
            for status in [400, 404, 500, 503] {
                let (fake, relay) = world().await;
                for route in [Route::Listing, Route::Detail] {
                    fake.add(Rule::on(route, Fault::status(status)).containing("/pulses/p2"));
                }
                let body = relay.observe(&[EVIL]).await;
                assert_eq!(pulses(&body, "sightings"), ["p1", "p3"], "{status}");
                assert_eq!((errors(&body).len(), errors(&body)[0].1.as_str()), (1, "error"), "{status}");
            }
        }),
        trial("defect_06_a_pulse_without_a_field_costs_nothing_else", || async {
            let (fake, relay) = world().await;
            let odd = |body: &mut Value| body["pulse_info"]["pulses"][1] = json!({"id": "p2"});
            fake.add(Rule::on(Route::General, Fault::rewrite(odd)));
            let body = relay.observe(&[EVIL]).await;
            let found = pulses(&body, "sightings");
            assert!(found.contains(&"p1") && found.contains(&"p3"), "{body}");
        }),
        trial("defect_07_the_same_question_has_the_same_ids_and_no_document_twice", || async {
            let fake = FakeOtx::with(known()).await.expect("a fake OTX");
            let mut answers = Vec::new();
            for _ in 0..2 {
                let relay = TestRelay::before(&fake).await;
                answers.push(relay.observe(&[EVIL, EVIL, ("domain", "EVIL.example")]).await);
            }
            assert_eq!(answers[0], answers[1]);
            assert_eq!((docs(&answers[0], "indicators").len(), docs(&answers[0], "sightings").len()), (3, 6));
        }),
        trial("defect_08_letter_case_does_not_hide_what_is_known", || async {
            let (_fake, relay) = world().await;
            let body = relay.observe(&[("domain", "Evil.EXAMPLE")]).await;
            assert_eq!(docs(&body, "sightings").len(), 3);
        }),
        trial("defect_09_no_value_leaves_its_path_segment", || async {
            let (fake, relay) = world().await;
            for value in [".", "..", "../../user/me", "a/../../x", "%2e%2e", "x?y=z", "x#y", "http://a.example/../.."]
            {
                for kind in ["domain", "ip", "url", "md5"] {
                    let _ = relay.observe(&[(kind, value)]).await;
                }
            }
            for call in fake.calls() {
                let segments: Vec<&str> = call.target.split('/').collect();
                assert_eq!(
                    (segments.len(), segments[3], segments[6]),
                    (7, "indicators", "general"),
                    "{}",
                    call.target
                );
            }
        }),
        trial("defect_10_the_key_does_not_follow_a_redirect", || async {
            let (fake, relay) = world().await;
            let evil = FakeOtx::with(known()).await.expect("another host");
            fake.add(Rule::always(Fault::redirect(302, &evil.url())));
            let body = relay.observe(&[EVIL]).await;
            assert!(errors(&body)[0].2.contains("302 Found"), "{body}");
            assert_eq!(evil.connections(), 0);
        }),
        trial("defect_11_health_is_ok_only_if_the_account_answers", || async {
            for (fault, code) in [
                (Fault::status(400), "oops"),
                (Fault::status(404), "oops"),
                (Fault::body("[1]"), "oops"),
                (Fault::body("<html>"), "oops"),
                (Fault::throttled(None), "too many requests"),
                (Fault::status(401), "authorization error"),
                (Fault::status(403), "authorization error"),
            ] {
                let (fake, relay) = world().await;
                let name = format!("{fault:?}");
                fake.add(Rule::on(Route::Me, fault));
                let body = relay.health().await;
                assert_eq!((errors(&body)[0].0.as_str(), body.get("data")), (code, None), "{name}: {body}");
            }
        }),
        trial("defect_12_nothing_that_callers_or_otx_do_is_an_http_500", || async {
            let (fake, relay) = world().await;
            let old = relay.token_with(&json!({"exp": 1}));
            for value in [format!("Bearer {old}"), "one".to_owned(), String::new(), "a b c".to_owned()] {
                let answer = relay.send("POST", "/health", &[("authorization", &value)], "").await;
                assert_eq!(answer.status, 200, "{value}");
                let _ = answer.checked(schema::Answer::Health);
            }
            let surrogate = r#"[{"type":"domain","value":"\ud800"}]"#;
            assert_eq!(relay.post("/observe/observables", surrogate).await.status, 200);
            for fault in
                [Fault::status(520), Fault::status(599), Fault::Break(At::Body, How::Reset), Fault::body("{}")]
            {
                fake.recover();
                fake.add(Rule::on(Route::General, fault));
                assert_eq!(errors(&relay.observe(&[EVIL]).await)[0].0, "oops");
            }
        }),
        trial("defect_13_the_scheme_is_checked_in_every_build", || async {
            let (fake, relay) = world().await;
            let header = format!("Basic {}", relay.token());
            let answer = relay.send("POST", "/health", &[("authorization", &header)], "").await;
            answer.refuses("authorization error", "Authorization failed: Wrong authorization type");
            assert_eq!(fake.total(), 0);
        }),
        trial("defect_14_calls_share_connections", || async {
            let (fake, relay) = world().await;
            for index in 0..20 {
                let _ = relay.observe(&[("domain", &format!("name-{index}.example"))]).await;
            }
            assert!(fake.total() >= 20 && fake.connections() <= 3, "{} connections", fake.connections());
        }),
        trial("defect_14_calls_under_way_are_bounded", || async {
            let fake = FakeOtx::with(known()).await.expect("a fake OTX");
            fake.set_latency(Route::General, Duration::from_millis(50));
            let relay = Builder::new(&fake.url())
                .set("THREATRELAY_OTX_MAX_CONCURRENT_CALLS", "4")
                .set("THREATRELAY_OTX_MAX_CONCURRENT_CALLS_PER_KEY", "4")
                .start()
                .await;
            let names: Vec<String> = (0..40).map(|index| format!("name-{index}.example")).collect();
            let asked: Vec<(&str, &str)> = names.iter().map(|name| ("domain", name.as_str())).collect();
            let body = relay.observe(&asked).await;
            assert_eq!(errors(&body), []);
            assert!(fake.connections() <= 4, "{} connections", fake.connections());
        }),
        trial("defect_15_a_capped_answer_says_so", || async {
            let pulses = (0..55).map(|index| pulse(&format!("p{index}"), vec![domain("evil.example", WHEN)]));
            let fake = FakeOtx::with(dataset(pulses.collect())).await.expect("a fake OTX");
            let relay = TestRelay::before(&fake).await;
            let body = relay.observe(&[EVIL]).await;
            assert_eq!(errors(&body)[0].0, "too-many-messages-warning");
            assert_eq!(docs(&body, "sightings").len(), 50);
        }),
        trial("defect_16_a_host_name_is_asked_as_one", || async {
            let rows = vec![row(IndicatorType::Hostname, "www.evil.example", WHEN)];
            let fake = FakeOtx::with(dataset(vec![pulse("p1", rows)])).await.expect("a fake OTX");
            let relay = TestRelay::before(&fake).await;
            let body = relay.observe(&[("domain", "www.evil.example")]).await;
            assert_eq!(pulses(&body, "sightings"), ["p1"]);
        }),
        trial("defect_17_texts_and_times_are_what_ctim_allows", || async {
            let (fake, relay) = world().await;
            fake.add(Rule::on(
                Route::General,
                Fault::in_pulses(|pulse| {
                    pulse["TLP"] = json!("GREEN");
                    pulse["name"] = json!("n".repeat(3000));
                    pulse["description"] = json!("d".repeat(9000));
                    pulse["tags"] = json!(["t".repeat(3000), null]);
                }),
            ));
            let odd = |row: &mut Value| {
                row["created"] = json!("2026-01-01T08:00:00Z");
                row["expiration"] = json!("2025-01-01");
            };
            fake.add(Rule::on(Route::Listing, Fault::in_rows(odd)));
            fake.add(Rule::on(Route::Detail, Fault::in_rows(odd)));
            let body = relay.observe(&[EVIL]).await;
            assert_eq!((docs(&body, "indicators").len(), errors(&body)), (3, Vec::new()));
        }),
        trial("defect_17_a_body_has_a_limit", || async {
            let (_fake, relay) = world().await;
            assert_eq!(relay.post("/observe/observables", vec![b'['; 2 << 20]).await.status, 413);
        }),
        trial("defect_18_the_version_is_the_builds", || async {
            let (_fake, relay) = world().await;
            let body = relay.send("POST", "/version", &[], "").await.checked(schema::Answer::Version);
            assert_eq!(body["version"], env!("CARGO_PKG_VERSION"), "one version in the whole workspace");
        }),
        trial("no_answer_or_error_shows_a_key_or_token", || async {
            let (fake, relay) = world().await;
            fake.add(Rule::on(Route::General, Fault::status(500)));
            let secret = "canary-0123456789abcdef";
            let token = relay.token_with(&json!({"key": secret}));
            for path in ["/health", "/observe/observables", "/refer/observables"] {
                let answer = relay.post_with(path, &token, payload(&[EVIL])).await;
                let headers = format!("{:?}", answer.headers);
                for leak in [secret, token.as_str(), JWKS_HOST] {
                    assert!(!answer.text().contains(leak) && !headers.contains(leak), "{path} shows {leak}");
                }
            }
        }),
    ])
}

/// A listing of which every page has another row and says that there is more.
fn endless() -> Fault {
    Fault::Change(std::sync::Arc::new(|request, answer| {
        let page = request.target.rsplit('=').next().unwrap_or_default().to_owned();
        answer.status = 200;
        answer.set_json(&json!({
            "results": [{"id": 1, "indicator": format!("endless-{page}.example"), "type": "domain", "created": WHEN}],
            "count": 1_000_000_000, "previous": null, "next": "http://localhost/next",
        }));
    }))
}
