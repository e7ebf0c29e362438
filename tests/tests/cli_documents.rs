//! The documents that programs read: the registration, validated against the platform's table, and the `OpenAPI` document,
//! which real answers must conform to.
#![expect(clippy::expect_used, reason = "a failed step is a failed test")]

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};
use tests::command::threatrelay;
use tests::fake_otx::FakeOtx;
use tests::relay::{Builder, payload};

/// `NewModuleTypeParams` as the platform's table has it.
fn registration_schema() -> Validator {
    let text = json!({"type": "string", "minLength": 1});
    let capability = [
        "health",
        "observe",
        "deliberate",
        "refer",
        "respond",
        "tiles",
        "assets",
        "target_records",
        "notifications",
        "automate",
        "incident/resolve",
        "device_insights",
        "threat_hunts",
        "detection_source",
        "data_ingestion",
    ];
    let apis = [
        "health",
        "observe/observables",
        "deliberate/observables",
        "refer/observables",
        "respond/observables",
        "respond/trigger",
        "tiles",
        "tiles/tile",
        "tiles/tile-data",
    ];
    let categories = [
        "threat-intel",
        "siem",
        "edr",
        "ndr",
        "itsm",
        "email-security",
        "rf-security",
        "cloud-firewall",
        "cloud-security",
        "firewall",
    ];
    let named = |ids: &[&str]| {
        json!({"type": "array", "minItems": 1, "items": {
            "type": "object", "properties": {"id": {"enum": ids}, "description": text},
            "required": ["id", "description"], "additionalProperties": false,
        }})
    };
    let schema = json!({
        "type": "object",
        "properties": {
            "title": text, "default_name": text, "short_description": text, "description": text, "tips": text,
            "external_references": {"type": "array", "items": {
                "type": "object", "properties": {"label": text, "link": {"type": "string", "format": "uri"}},
                "required": ["label", "link"], "additionalProperties": false,
            }},
            "configuration_spec": {"type": "array", "items": {
                "type": "object",
                "properties": {
                    "key": text, "label": text, "tooltip": text, "required": {"type": "boolean"},
                    "type": {"enum": ["string", "password", "api_key", "integer", "boolean", "options", "device", "file", "remote"]},
                },
                "required": ["key", "type", "label"], "additionalProperties": false,
            }},
            "capabilities": named(&capability),
            "properties": {
                "type": "object",
                "properties": {
                    "supported-apis": {"type": "array", "uniqueItems": true, "items": {"enum": apis}},
                    "url": {"type": "string", "pattern": "^https://[^/]+(/.*[^/])?$"},
                    "auth-type": {"const": "configuration-token"},
                    "configuration-token-alg": {"const": "RS256"},
                    "custom_jwks_host": {"enum": ["visibility.amp.cisco.com", "visibility.eu.amp.cisco.com", "visibility.apjc.amp.cisco.com"]},
                    "configuration-token-audience": text,
                },
                "required": ["supported-apis", "url", "auth-type", "configuration-token-alg", "custom_jwks_host"],
                "additionalProperties": false,
            },
            "flags": {"type": "array", "items": text},
            "logo": {"type": "string", "pattern": "^data:image/(svg\\+xml|png);base64,[A-Za-z0-9+/]+=*$"},
            "product_categories": named(&categories),
        },
        "required": ["title", "default_name"],
        "additionalProperties": false,
    });
    validator(&schema)
}

fn validator(schema: &Value) -> Validator {
    let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
    options.build(schema).expect("a JSON Schema")
}

fn problems(validator: &Validator, document: &Value) -> Vec<String> {
    validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

async fn document(arguments: &[&str]) -> Value {
    let said = threatrelay(arguments).run().await.ends_with(0);
    serde_json::from_str(&said.stdout).expect("JSON")
}

const URL: [&str; 3] = ["module-type", "--url", "https://relay.example"];

#[tokio::test]
async fn a_registration_is_what_the_platform_takes_in_every_region() {
    let schema = registration_schema();
    for (region, host) in [
        ("nam", "visibility.amp.cisco.com"),
        ("eu", "visibility.eu.amp.cisco.com"),
        ("apjc", "visibility.apjc.amp.cisco.com"),
    ] {
        let arguments = [&URL[..], &["--region", region]].concat();
        let registration = document(&arguments).await;
        assert_eq!(problems(&schema, &registration), Vec::<String>::new());
        assert_eq!(registration["properties"]["custom_jwks_host"], host);
        assert_eq!(registration["properties"]["configuration-token-audience"], "https://relay.example");
        let told = threatrelay(&arguments).run().await.stderr;
        assert!(told.contains(&format!("POST it to https://{host}/iroh/iroh-int/module-type\n")), "{told}");
    }
}

#[tokio::test]
async fn a_registration_is_the_one_that_is_checked_in() {
    threatrelay(&URL).run().await.ends_with(0).is_golden("module-type", &[]);
    let patch = [&URL[..], &["-o", "patch", "--audience", "https://a.example"]].concat();
    threatrelay(&patch).run().await.ends_with(0).is_golden("module-type-patch", &[]);
}

#[tokio::test]
async fn a_relay_that_answers_as_the_original_is_registered_with_its_three_apis() {
    let registration = document(&[&URL[..], &["--parity"]].concat()).await;
    let apis = &registration["properties"]["supported-apis"];
    assert_eq!(apis, &json!(["health", "observe/observables", "refer/observables"]));
    assert_eq!(registration["capabilities"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn a_key_that_the_relay_holds_is_not_asked_for() {
    let registration = document(&[&URL[..], &["--key-held-by-relay"]].concat()).await;
    assert!(!registration.to_string().contains("custom_key"), "{registration}");
}

#[tokio::test]
async fn every_api_that_is_registered_is_served_with_its_capability() {
    let fake = FakeOtx::start().await.expect("a fake OTX");
    let relay = Builder::new(&fake.url()).rich().start().await;
    let registration = document(&URL).await;
    let apis = registration["properties"]["supported-apis"].as_array().expect("a list");
    let capabilities: Vec<&str> = registration["capabilities"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|capability| capability["id"].as_str())
        .collect();
    assert_eq!(apis.len(), 7);
    for api in apis.iter().filter_map(Value::as_str) {
        let answer = relay.post(&format!("/{api}"), payload(&[("domain", "evil.example")])).await;
        assert_eq!(answer.status, 200, "{api}: {}", answer.text());
        let class = api.split('/').next().unwrap_or_default();
        assert!(capabilities.contains(&class), "{api}");
    }
}

#[tokio::test]
async fn the_openapi_document_names_exactly_what_is_served() {
    let fake = FakeOtx::start().await.expect("a fake OTX");
    let relay = Builder::new(&fake.url()).rich().start().await;
    let openapi = document(&["openapi"]).await;
    assert_eq!(openapi["openapi"], "3.1.0");
    let paths = openapi["paths"].as_object().expect("paths");
    for (path, operations) in paths {
        let allowed = relay.send("OPTIONS", path, &[], "").await;
        assert_eq!(allowed.status, 200, "{path}");
        let allowed = allowed.headers["allow"].to_str().unwrap_or_default().to_lowercase();
        let served: Vec<&str> = allowed.split(", ").filter(|method| matches!(*method, "get" | "post")).collect();
        let named: Vec<&str> =
            operations.as_object().into_iter().flatten().map(|(method, _)| method.as_str()).collect();
        assert_eq!(named, served, "{path}");
    }
}

#[tokio::test]
async fn real_answers_conform_to_the_openapi_document() {
    let fake = FakeOtx::start().await.expect("a fake OTX");
    let relay = Builder::new(&fake.url()).rich().start().await;
    let openapi = document(&["openapi"]).await;
    let body = payload(&[("domain", "evil.example"), ("ip", "203.0.113.7"), ("email", "rose@evil.example")]);
    let token = format!("Bearer {}", relay.token());
    let mut checked = 0;
    for (path, operations) in openapi["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let schema_of = |status: &str| {
                let reference = operation["responses"][status]["content"]["application/json"]["schema"].clone();
                let mut schema = openapi.clone();
                schema["$ref"] = reference["$ref"].clone();
                assert!(schema["$ref"].is_string(), "{path} {method} {status}");
                validator(&schema)
            };
            let (complete, unusable) = (schema_of("200"), schema_of("default"));
            // Complete, refused, and with a body that is none.
            let headers = [("authorization", token.as_str()), ("health-check", "x")];
            for (headers, body) in [(&headers[..], body.as_str()), (&[], body.as_str()), (&headers[..], "nonsense")] {
                let answer = relay.send(&method.to_uppercase(), path, headers, body.to_owned()).await;
                let document: Value = serde_json::from_slice(&answer.body).expect("JSON");
                assert_eq!(answer.status, 200, "{path}");
                assert_eq!(problems(&complete, &document), Vec::<String>::new(), "{path}: {document}");
                checked += 1;
            }
            let refused = relay.send("DELETE", path, &[], "").await;
            let document: Value = serde_json::from_slice(&refused.body).expect("JSON");
            assert_eq!(problems(&unusable, &document), Vec::<String>::new(), "{path}: {document}");
            assert_eq!(refused.status, 405);
        }
    }
    assert_eq!(checked, 27, "nine endpoints, three requests each");
}
