//! What the shipped binaries are made of: documents beside them and lists inside them name every package that cargo
//! resolves, in its version, and none that is banned.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::Path;

use jsonschema::validator_for;
use serde_json::{Value, json};
use tests::binaries::{shipped, target};
use tests::materials::{BINARIES, Packages, carried, described, document, resolved};

/// Banned packages that lists name all the same: `rustls-webpki` could use it, and the metadata that both tools read does
/// not say that no feature asks for it. cargo's own tree and the binary's code say so.
const NAMED_ONLY: [&str; 1] = ["ring"];
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap()
}

/// What stands between `before` and the next quotation mark, each time.
fn quoted<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split('"').next())
}

/// The packages of `Cargo.lock`.
fn locked() -> Packages {
    let lock = read("Cargo.lock");
    let versions: Vec<String> = quoted(&lock, "\nversion = \"").map(str::to_owned).collect();
    quoted(&lock, "\nname = \"").zip(versions).map(|(name, version)| format!("{name} {version}")).collect()
}

/// The names that `deny.toml` bans.
fn banned() -> HashSet<String> {
    let banned: HashSet<String> = quoted(&read("deny.toml"), "{ crate = \"").map(str::to_owned).collect();
    assert!(banned.contains("openssl"), "{banned:?}");
    banned
}

/// What is wrong with a list of what `binary` is made of.
fn problems(binary: &str, found: &Packages) -> Vec<String> {
    let (expected, locked, banned) = (resolved(binary, &target()).unwrap(), locked(), banned());
    assert!(expected.len() > 100, "{}", expected.len());
    let missing = expected.difference(found).map(|package| format!("{package} is missing"));
    let unknown = found.difference(&locked).map(|package| format!("{package} is not in Cargo.lock"));
    let banned = found.iter().filter(|package| {
        let name = package.split(' ').next().unwrap();
        banned.contains(name) && (expected.contains(*package) || !NAMED_ONLY.contains(&name))
    });
    missing.chain(unknown).chain(banned.map(|package| format!("{package} is banned"))).collect()
}

/// The part of the schema of `CycloneDX` 1.5 that makes a document useful to a scanner.
fn schema() -> Value {
    let component = json!({
        "type": "object",
        "required": ["type", "name", "version", "bom-ref", "purl"],
        "properties": {
            "type": {"enum": ["application", "library"]},
            "bom-ref": {"type": "string", "minLength": 1},
            "purl": {"type": "string", "pattern": "^pkg:cargo/[^/]+@[0-9]"},
            "scope": {"enum": ["required", "optional", "excluded"]},
            "hashes": {"type": "array", "items": {"required": ["alg", "content"]}},
            "licenses": {"type": "array", "items": {"anyOf": [{"required": ["expression"]}, {"required": ["license"]}]}},
        },
    });
    json!({
        "type": "object",
        "required": ["bomFormat", "specVersion", "version", "metadata", "components", "dependencies"],
        "properties": {
            "bomFormat": {"const": "CycloneDX"},
            "specVersion": {"const": "1.5"},
            "version": {"type": "integer", "minimum": 1},
            "serialNumber": {"pattern": "^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"},
            "metadata": {"required": ["component", "tools"], "properties": {"component": component}},
            "components": {"type": "array", "minItems": 100, "items": component},
            "dependencies": {"type": "array", "items": {
                "required": ["ref"],
                "properties": {"dependsOn": {"type": "array", "uniqueItems": true, "items": {"type": "string"}}},
            }},
        },
    })
}

/// Names that a document gives more than once, or uses without giving them.
fn dangling(document: &Value) -> Vec<String> {
    let texts = |array: &Value, key: &str| -> Vec<String> {
        let items = array.as_array().into_iter().flatten();
        items.filter_map(|item| Some(item[key].as_str()?.to_owned())).collect()
    };
    let mut given = texts(&document["components"], "bom-ref");
    given.extend(document["metadata"]["component"]["bom-ref"].as_str().map(str::to_owned));
    let known: BTreeSet<&String> = given.iter().collect();
    assert_eq!(known.len(), given.len(), "a name is given twice");
    let links = document["dependencies"].as_array().into_iter().flatten();
    let targets = links.flat_map(|link| link["dependsOn"].as_array().into_iter().flatten());
    let used = targets.filter_map(Value::as_str).map(str::to_owned).chain(texts(&document["dependencies"], "ref"));
    used.filter(|name| !known.contains(name)).collect()
}

#[test]
fn a_valid_document_of_each_binary_names_what_is_linked_into_it_and_nothing_banned() {
    let folder = tempfile::tempdir().unwrap();
    let schema = validator_for(&schema()).unwrap();
    for ((binary, _), document) in BINARIES.into_iter().zip(document(folder.path(), &target()).unwrap()) {
        let document: Value = serde_json::from_slice(&fs::read(document).unwrap()).unwrap();
        let wrong: Vec<_> = schema.iter_errors(&document).map(|error| error.to_string()).take(5).collect();
        assert!(wrong.is_empty(), "{binary}: {wrong:#?}");
        assert_eq!(document["metadata"]["component"]["name"], binary);
        assert_eq!(dangling(&document), Vec::<String>::new(), "{binary}");
        let found = described(&document);
        println!("{binary}: {} packages in its document", found.len());
        assert_eq!(problems(binary, &found), Vec::<String>::new(), "{binary}");
    }
}

#[test]
fn each_static_binary_carries_the_list_of_what_is_linked_into_it_and_nothing_banned() {
    for (binary, _) in BINARIES {
        let found = carried(&shipped(binary).unwrap()).unwrap();
        println!("{binary}: {} packages inside it", found.len());
        assert_eq!(problems(binary, &found), Vec::<String>::new(), "{binary}");
    }
}

/// Where code may panic, a binary names the file, below `PACKAGE-VERSION`.
fn has_code_of(binary: &[u8], package: &str) -> bool {
    let start = format!("/{package}-");
    binary
        .windows(start.len() + 1)
        .any(|bytes| bytes.starts_with(start.as_bytes()) && bytes[start.len()].is_ascii_digit())
}

#[test]
fn no_static_binary_has_code_of_a_banned_package() {
    for (binary, _) in BINARIES {
        let code = fs::read(shipped(binary).unwrap()).unwrap();
        for linked in ["rustls", "rustls-webpki", "aws-lc-rs"] {
            assert!(has_code_of(&code, linked), "{binary} does not show what it is made of: {linked} is not seen");
        }
        let found: Vec<String> = banned().into_iter().filter(|package| has_code_of(&code, package)).collect();
        assert!(found.is_empty(), "{binary}: {found:?}");
    }
}

/// The date that C's `__DATE__` stands for, as `Nov  5 2026`, wherever it is.
fn dates_of_compilation(binary: &[u8]) -> BTreeSet<String> {
    const MONTHS: &[u8] = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";
    let is_date = |bytes: &&[u8]| {
        let (month, day, year) = (&bytes[..4], &bytes[4..7], &bytes[7..]);
        MONTHS.chunks(4).any(|name| name[..3] == month[..3])
            && (month[3], day[2]) == (b' ', b' ')
            && (day[0] == b' ' || day[0].is_ascii_digit())
            && day[1].is_ascii_digit()
            && year.iter().all(u8::is_ascii_digit)
    };
    let dates = binary.windows("Nov  5 2026".len()).filter(is_date);
    dates.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
}

#[test]
fn no_static_binary_tells_when_it_was_compiled() {
    for (binary, _) in BINARIES {
        let found = dates_of_compilation(&fs::read(shipped(binary).unwrap()).unwrap());
        assert!(found.iter().all(|date| date == "Jan  1 1970"), "{binary}: {found:?}");
    }
    let found = dates_of_compilation(b"built Nov  5 2026\0Dec 24 2026\0Mai  1 2026");
    assert_eq!(found, ["Dec 24 2026".to_owned(), "Nov  5 2026".to_owned()].into());
}

#[test]
fn what_is_missing_foreign_or_banned_is_noticed_in_a_list() {
    let (binary, mut found) = ("threatrelay", resolved("threatrelay", &target()).unwrap());
    assert_eq!(problems(binary, &found), Vec::<String>::new());
    let left_out = found.pop_first().unwrap();
    found.extend(["openssl 0.10.0".to_owned()]);
    let expected = [
        format!("{left_out} is missing"),
        "openssl 0.10.0 is not in Cargo.lock".to_owned(),
        "openssl 0.10.0 is banned".to_owned(),
    ];
    assert_eq!(problems(binary, &found), expected);
}
