//! `threatrelay module-type`: the document that registers this relay with a SecureX / XDR region. What it can be asked
//! comes from the routes that this binary serves; the rest has the form of `NewModuleTypeParams`. A URL that the
//! platform could not use is refused.

use clap::ValueEnum;
use serde::Serialize;
use url::Url;

use super::outcome::{FAINT, Outcome, USAGE};
use crate::config::Answers;
use crate::router::Route;

/// What to register.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Registration {
    /// Origin of the relay as the platform reaches it
    #[arg(long, value_name = "URL")]
    url: Url,
    /// Region of the platform
    #[arg(long, value_enum, default_value_t)]
    region: Region,
    /// Audience of the tokens, which has to stand in auth.audiences; the origin of the URL when not given
    #[arg(long, value_name = "AUDIENCE")]
    audience: Option<String>,
    /// Name of the module in the platform
    #[arg(long, value_name = "TITLE", default_value = "AlienVault Open Threat Exchange")]
    title: String,
    /// Leave the OTX key out of the module's form, because the relay holds keys itself (otx.keysDir)
    #[arg(long)]
    key_held_by_relay: bool,
    /// Register what a relay with answers: parity serves, as the original did
    #[arg(long)]
    parity: bool,
    /// Take a plain http URL
    #[arg(long)]
    allow_http: bool,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

pub(super) const AFTER_HELP: &str = "\
Examples:
  threatrelay module-type --url https://relay.example.com --region eu > module_type.json
  threatrelay module-type --url https://relay.example.com -o patch

The document goes to POST /iroh/iroh-int/module-type of the region, by somebody whose token has the scope
integration/module-type:write; where exactly is told on standard error.";

/// Regions of the platform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Region {
    /// North America
    #[default]
    Nam,
    /// Europe
    Eu,
    /// Asia, Pacific, Japan, China
    Apjc,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A new module type
    #[default]
    Json,
    /// What changes of a module type that is registered already; it replaces both lists whole
    Patch,
}

impl Region {
    /// The region's host, which also publishes the keys of its tokens.
    fn host(self) -> &'static str {
        match self {
            Self::Nam => "visibility.amp.cisco.com",
            Self::Eu => "visibility.eu.amp.cisco.com",
            Self::Apjc => "visibility.apjc.amp.cisco.com",
        }
    }
}

#[derive(Serialize)]
struct ModuleType<'a> {
    title: &'a str,
    default_name: &'static str,
    short_description: &'static str,
    description: String,
    tips: String,
    external_references: [Reference; 2],
    configuration_spec: Vec<Field>,
    #[serde(flatten)]
    patch: Patch<'a>,
    flags: [&'static str; 1],
    logo: &'static str,
    product_categories: [Named; 1],
}

#[derive(Serialize)]
struct Patch<'a> {
    capabilities: Vec<Named>,
    properties: Properties<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Properties<'a> {
    supported_apis: Vec<&'static str>,
    #[serde(rename = "url")]
    url: &'a str,
    auth_type: &'static str,
    configuration_token_alg: &'static str,
    #[serde(rename = "custom_jwks_host")]
    jwks_host: &'static str,
    configuration_token_audience: &'a str,
}

#[derive(Serialize)]
struct Reference {
    label: &'static str,
    link: &'static str,
}

#[derive(Serialize)]
struct Field {
    key: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    label: &'static str,
    tooltip: &'static str,
    required: bool,
}

#[derive(Clone, Copy, Serialize)]
struct Named {
    id: &'static str,
    description: &'static str,
}

/// A mark of a radar sweep; SVG, so that it is sharp at every size.
const LOGO: &str = "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHZpZXdCb3g9IjAgMCAzMiAzMiI+PGcgZmlsbD0ibm9uZSIgc3Ryb2tlPSIjMDQ5ZmQ5IiBzdHJva2Utd2lkdGg9IjIiPjxjaXJjbGUgY3g9IjE2IiBjeT0iMTYiIHI9IjEzIi8+PGNpcmNsZSBjeD0iMTYiIGN5PSIxNiIgcj0iNiIvPjxwYXRoIGQ9Ik0xNiAxNiAyNSA3Ii8+PC9nPjwvc3ZnPgo=";

/// Gives the document.
pub(super) fn run(registration: &Registration) -> Outcome {
    let Registration { url, region, audience, title, key_held_by_relay, parity, allow_http, output } = registration;
    let answers = if *parity { Answers::Parity } else { Answers::Rich };
    let is_usable = match url.scheme() {
        "https" => true,
        "http" => *allow_http,
        _ => false,
    };
    if !is_usable || url.host().is_none() || url.query().is_some() || url.fragment().is_some() {
        return Outcome::failed(
            format!(
                "--url {url}: the platform takes https URLs without query; for a test, --allow-http lets http pass"
            ),
            USAGE,
        );
    }
    let origin = url.origin().ascii_serialization();
    let audience = audience.as_deref().unwrap_or(&origin);
    let patch = Patch {
        capabilities: capabilities(answers),
        properties: Properties {
            supported_apis: supported_apis(answers).collect(),
            url: url.as_str().trim_end_matches('/'),
            auth_type: "configuration-token",
            configuration_token_alg: "RS256",
            jwks_host: region.host(),
            configuration_token_audience: audience,
        },
    };
    let written = match output {
        Form::Json => serde_json::to_string_pretty(&module_type(title, !key_held_by_relay, patch)),
        Form::Patch => serde_json::to_string_pretty(&patch),
    };
    let mut outcome = match written {
        Ok(json) => Outcome::done(json + "\n"),
        Err(error) => return Outcome::failed(error, super::outcome::FAILURE),
    };
    let (method, id) = match output {
        Form::Json => ("POST", ""),
        Form::Patch => ("PATCH", "/ID"),
    };
    let host = region.host();
    outcome.diagnose(&FAINT, "next", format!("{method} it to https://{host}/iroh/iroh-int/module-type{id}"));
    outcome.diagnose(&FAINT, "next", format!("auth.audiences of the relay has to hold {audience}"));
    outcome
}

fn module_type<'a>(title: &'a str, asks_for_key: bool, patch: Patch<'a>) -> ModuleType<'a> {
    let mut fields = Vec::new();
    if asks_for_key {
        fields.push(Field {
            key: "custom_key",
            kind: "api_key",
            label: "AlienVault OTX API key",
            tooltip: "The key in the settings of your AlienVault OTX account",
            required: true,
        });
    }
    fields.push(Field {
        key: "custom_CTR_ENTITIES_LIMIT",
        kind: "integer",
        label: "Entities limit",
        tooltip: "Most pulses shown of one observable: 100 unless set, at most 1000",
        required: false,
    });
    let key_step = if asks_for_key { "2. Enter the API key of your AlienVault OTX account.\n" } else { "" };
    ModuleType {
        title,
        default_name: "AlienVault OTX",
        short_description: "Threat intelligence of the AlienVault OTX community about addresses, names, URLs and files.",
        description: format!(
            "AlienVault Open Threat Exchange (OTX) is a community that shares indicators of threats, bundled as pulses. \
             This module looks up observables in OTX.\n\nSupported observables: {}.",
            crate::observable::ObservableType::ALL.map(|kind| format!("`{kind}`")).join(", ")
        ),
        tips: format!("1. Give the module a name.\n{key_step}{}. Save.", if asks_for_key { 3 } else { 2 }),
        external_references: [
            Reference { label: "AlienVault OTX", link: "https://otx.alienvault.com" },
            Reference { label: "Your OTX API key", link: "https://otx.alienvault.com/api" },
        ],
        configuration_spec: fields,
        patch,
        flags: ["third-party-serverless"],
        logo: LOGO,
        product_categories: [Named { id: "threat-intel", description: "Threat intelligence" }],
    }
}

fn supported_apis(answers: Answers) -> impl Iterator<Item = &'static str> {
    Route::ALL.into_iter().filter(move |route| route.is_served(answers)).filter_map(Route::supported_api)
}

/// One capability for every class of endpoints; its id is the first segment of their paths.
fn capabilities(answers: Answers) -> Vec<Named> {
    let mut capabilities: Vec<Named> = Vec::new();
    for api in supported_apis(answers) {
        let id = api.split('/').next().unwrap_or_default();
        let description = match id {
            "health" => "Check that the module works",
            "observe" => "Sightings and indicators of observables in OTX pulses",
            "deliberate" => "Verdicts on observables",
            "refer" => "Links to OTX's pages about observables",
            "tiles" => "Tiles for dashboards",
            _ => "",
        };
        if capabilities.iter().all(|known| known.id != id) {
            capabilities.push(Named { id, description });
        }
    }
    capabilities
}
