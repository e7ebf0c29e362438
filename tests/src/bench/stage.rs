//! What most cases need: a fake OTX of some scale in this process, a relay process before it, and a token.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};

use super::load::{Line, Shot};
use super::process::{Process, free_port};
use super::{BenchError, Doing};
use crate::fake_otx::scale::Scale;
use crate::fake_otx::{FakeOtx, KEY};
use crate::issuer::{AUDIENCE, Issuer, claims};

/// A fake OTX, a relay before it, a token.
pub(super) struct Stage {
    pub(super) otx: FakeOtx,
    pub(super) relay: Process,
    pub(super) scale: Scale,
    pub(super) address: std::net::SocketAddr,
    pub(super) admin: std::net::SocketAddr,
    token: String,
    _files: tempfile::TempDir,
}

impl Stage {
    /// Sets up `scale`; every call of the fake takes `round_trip`.
    pub(super) async fn set(binary: &Path, scale: Scale, round_trip: Duration) -> Result<Self, BenchError> {
        Self::set_with(binary, scale, round_trip, &[]).await
    }

    /// The same with further settings of the relay.
    pub(super) async fn set_with(
        binary: &Path,
        scale: Scale,
        round_trip: Duration,
        further: &[(&'static str, &str)],
    ) -> Result<Self, BenchError> {
        let otx = FakeOtx::with(scale.dataset()).await.doing("starting the fake OTX")?;
        let issuer = Issuer::generate("bench").doing("making a key")?;
        let files = tempfile::tempdir().doing("making a directory")?;
        let jwks = files.path().join("jwks.json");
        std::fs::write(&jwks, serde_json::to_vec(&issuer.jwks()).doing("writing keys")?).doing("writing keys")?;
        let (address, admin) = (free_port()?, free_port()?);
        let mut settings = vec![
            ("THREATRELAY_LISTEN", address.to_string()),
            ("THREATRELAY_ADMIN_LISTEN", admin.to_string()),
            ("THREATRELAY_ANSWERS", "parity".to_owned()),
            ("THREATRELAY_OTX_BASE_URL", otx.url()),
            ("THREATRELAY_OTX_HOURLY_BUDGET", "10000000".to_owned()),
            ("THREATRELAY_AUTH_AUDIENCES", AUDIENCE.to_owned()),
            ("THREATRELAY_AUTH_JWKS_FILE", jwks.display().to_string()),
        ];
        settings.extend(further.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let relay = Process::start(binary, &["serve"], &settings, address)?;
        let token = issuer.token(&claims(KEY, "visibility.amp.cisco.com")).doing("signing a token")?;
        let stage = Self { otx, relay, scale, address, admin, token, _files: files };
        stage.warm_the_fake().await?;
        stage.otx.set_round_trip(round_trip);
        Ok(stage)
    }

    /// Lets the fake hold another data set.
    pub(super) fn change(&mut self, scale: Scale) {
        self.otx.edit(|content| *content = scale.dataset().content().clone());
        self.scale = scale;
    }

    /// The fake makes each answer once and keeps its bytes: that is done before anything is measured.
    async fn warm_the_fake(&self) -> Result<(), BenchError> {
        let client = super::download::client()?;
        super::download::all(&client, &self.general_urls()).await?;
        super::download::all(&client, &self.listing_urls()).await?;
        super::download::all(&client, &self.pulse_urls()).await?;
        self.otx.forget_calls();
        Ok(())
    }

    pub(super) fn general_urls(&self) -> Vec<String> {
        let url = |index| format!("{}/api/v1/indicators/domain/{}/general", self.otx.url(), Scale::observable(index));
        (0..self.scale.observables).map(url).collect()
    }

    /// All pages of all listings, as the relay asks for them.
    pub(super) fn listing_urls(&self) -> Vec<String> {
        let pages = self.scale.rows.div_ceil(10_000).max(1);
        let page = |pulse, page| {
            let id = Scale::pulse_id(pulse);
            format!("{}/api/v1/pulses/{id}/indicators?sort=-created&limit=10000&page={page}", self.otx.url())
        };
        (0..self.scale.pulses).flat_map(|pulse| (1..=pages).map(move |number| page(pulse, number))).collect()
    }

    /// All pulses whole.
    pub(super) fn pulse_urls(&self) -> Vec<String> {
        let small = self.scale.rows <= 5_000;
        let url = |pulse| format!("{}/api/v1/pulses/{}", self.otx.url(), Scale::pulse_id(pulse));
        (0..self.scale.pulses).filter(|_| small).map(url).collect()
    }

    /// A request about the first `count` observables.
    pub(super) fn observe(&self, count: usize) -> Result<Shot, BenchError> {
        let observables: Vec<Value> =
            (0..count).map(|index| json!({"type": "domain", "value": Scale::observable(index)})).collect();
        self.shot("/observe/observables", &observables)
    }

    pub(super) fn shot(&self, path: &'static str, body: &[Value]) -> Result<Shot, BenchError> {
        let body = Bytes::from(serde_json::to_vec(body).doing("writing a body")?);
        Ok(Shot { address: self.address, path, token: Some(self.token.clone()), body })
    }

    /// Sends one request on a connection of its own and tells how long the answer took. The answer must hold `matches`
    /// sightings and no error.
    pub(super) async fn once(&self, shot: &Shot, matches: usize) -> Result<Duration, BenchError> {
        let mut line = Line::open(self.address).await?;
        let started = Instant::now();
        let body = line.send(shot).await?;
        let time = started.elapsed();
        let answer: Value = serde_json::from_slice(&body).doing("reading an answer")?;
        let found = answer["data"]["sightings"]["count"].as_u64().unwrap_or(0);
        if found != matches as u64 || answer.get("errors").is_some_and(|errors| !only_warnings(errors)) {
            return Err(BenchError::new(format!("expected {matches} sightings, got {found}: {}", answer["errors"])));
        }
        Ok(time)
    }
}

fn only_warnings(errors: &Value) -> bool {
    errors.as_array().is_some_and(|errors| errors.iter().all(|error| error["type"] == "warning"))
}
