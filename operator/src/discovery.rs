//! Which kinds the API server offers. Asked by discovery, which needs no rights: at the start for `ThreatRelay` itself,
//! and again and again for the optional ones, so that one installed later is used without a restart.

use std::time::Duration;

use kube::Client;
use kube::api::ApiResource;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::admin::Readiness;
use crate::api::ThreatRelay;
use crate::client::{CallError, call};
use crate::controller::backoff::spread;
use crate::kinds;
use crate::observed::OptionalApis;

/// Time between two looks for optional kinds.
const OPTIONAL: Duration = Duration::from_secs(30);
/// Time between two looks for what the operator cannot work without.
const NEEDED: Duration = Duration::from_secs(2);

/// Whether an optional kind is there.
#[must_use]
pub fn has(offered: OptionalApis, kind: &ApiResource) -> bool {
    match kind.kind.as_str() {
        "HTTPRoute" => offered.gateway,
        "ServiceMonitor" => offered.service_monitor,
        _ => false,
    }
}

/// Whether the API server offers a kind.
///
/// # Errors
/// [`CallError`] when it cannot be asked.
pub async fn offers(client: &Client, kind: &ApiResource) -> Result<bool, CallError> {
    let what = format!("look for the kind {} ({})", kind.kind, kind.api_version);
    match call(what, client.list_api_group_resources(&kind.api_version)).await {
        Ok(list) => Ok(list.resources.iter().any(|resource| resource.name == kind.plural)),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Waits until there are an API server and the kind `ThreatRelay`. What is missing is told as readiness and logged.
pub async fn needed(client: &Client, readiness: &Readiness) {
    const SERVER: &str = "the API server";
    const CRD: &str = "the CRD threatrelays.threatrelay.dev";
    const STEP: &str =
        "it is not installed; apply crds/threatrelays.threatrelay.dev.yaml or what `threatrelay-operator crd` prints";
    let kind = kinds::of::<ThreatRelay>();
    let mut told = None;
    loop {
        let missing = match offers(client, &kind).await {
            Ok(true) => {
                readiness.has(SERVER);
                readiness.has(CRD);
                return;
            }
            Ok(false) => {
                readiness.has(SERVER);
                (CRD, STEP.to_owned())
            }
            Err(error) => (SERVER, error.to_string()),
        };
        readiness.waits(missing.0, &missing.1);
        if told.as_ref() != Some(&missing) {
            tracing::warn!("waiting for {}: {}", missing.0, missing.1);
            told = Some(missing);
        }
        sleep(spread(NEEDED)).await;
    }
}

/// Which optional kinds are there. A look that fails leaves what was known.
pub async fn look(client: &Client, known: OptionalApis) -> OptionalApis {
    let mut offered = known;
    for (kind, known) in
        [(kinds::http_route(), &mut offered.gateway), (kinds::service_monitor(), &mut offered.service_monitor)]
    {
        match offers(client, &kind).await {
            Ok(is_there) => *known = is_there,
            Err(error) => tracing::warn!(%error, "optional kinds are as before"),
        }
    }
    offered
}

/// Looks for optional kinds for as long as anybody wants to know.
pub async fn follow(client: Client, offered: watch::Sender<OptionalApis>) {
    while !offered.is_closed() {
        let known = *offered.borrow();
        let now = look(&client, known).await;
        offered.send_if_modified(|known| {
            let is_other = *known != now;
            *known = now;
            is_other
        });
        sleep(spread(OPTIONAL)).await;
    }
}
