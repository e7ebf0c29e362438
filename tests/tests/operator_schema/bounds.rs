//! Every bound of every field, overstepped once: the API server refuses the resource and names the field, so that no
//! operator ever sees it. The rules between fields are in [`rules`](super::rules).

use serde_json::{Map, Value, json};
use tests::operations::fields::{leaves, set, table};

use super::resource;
use super::server::{RELAYS, plane};

/// What no pattern of the schema takes.
const STRANGE: &str = "\u{1}?? ";

/// Values of a field that its schema forbids, with the bound that each oversteps.
fn forbidden(schema: &Value) -> Vec<(&'static str, Value)> {
    let number = |bound: &str| schema[bound].as_f64();
    let length = |bound: &str| usize::try_from(schema[bound].as_u64()?).ok();
    let mut all = vec![("type", json!([[1]]))];
    #[expect(clippy::cast_possible_truncation, reason = "bounds of whole numbers")]
    all.extend(number("minimum").map(|least| ("minimum", json!(least as i64 - 1))));
    #[expect(clippy::cast_possible_truncation, reason = "bounds of whole numbers")]
    all.extend(number("maximum").map(|most| ("maximum", json!(most as i64 + 1))));
    all.extend(schema.get("enum").map(|_| ("enum", json!("otherwise"))));
    all.extend(schema.get("pattern").map(|_| ("pattern", json!(STRANGE))));
    all.extend(length("maxLength").map(|most| ("maxLength", json!("a".repeat(most + 1)))));
    all.extend(length("minLength").map(|_| ("minLength", json!(""))));
    all.extend(length("minItems").filter(|least| *least > 0).map(|_| ("minItems", json!([]))));
    let items = &schema["items"];
    if items["type"] == "string" {
        let many = |most| (0..=most).map(|at| format!("n{at}.example")).collect::<Vec<_>>();
        all.extend(length("maxItems").map(|most| ("maxItems", json!(many(most)))));
        all.extend(forbidden(items).into_iter().map(|(bound, value)| (bound, json!([value]))));
    }
    if let Some(values) = schema.get("additionalProperties") {
        let many = |most| (0..=most).map(|at| (format!("n{at}"), json!("x"))).collect::<Map<_, _>>();
        all.extend(length("maxProperties").map(|most| ("maxProperties", json!(many(most)))));
        all.extend(forbidden(values).into_iter().map(|(bound, value)| (bound, json!({"a": value}))));
    }
    all
}

#[tokio::test]
async fn the_server_refuses_whatever_oversteps_a_bound_and_names_the_field() {
    let plane = plane().await;
    let leaves = leaves();
    let (mut tried, mut problems) = (0, Vec::new());
    for field in table() {
        for (bound, value) in forbidden(&leaves[field.path]) {
            let mut spec = field.base.spec();
            set(&mut spec, field.path, value);
            let made = plane.api().create(&format!("{RELAYS}?dryRun=All"), &resource("bounds", &spec)).await;
            let named = format!("spec.{}", field.path.replace("[]", "[0]"));
            tried += 1;
            match made {
                Err(error) if error.status() == Some(422) && error.to_string().contains(&named) => {}
                Err(error) => problems.push(format!("{named}, {bound}: {error}")),
                Ok(_) => problems.push(format!("{named}, {bound}: taken")),
            }
        }
    }
    println!("{tried} values beyond a bound");
    assert_eq!(problems, [""; 0], "of {tried}");
    assert!(tried > 250, "{tried}");
}
