//! Judgements and verdicts: what to think of an observable, and why.

use serde::Serialize;

use super::{Confidence, Observable, SCHEMA_VERSION, SOURCE, Severity, Span, Title, Tlp};

/// What an observable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// No threat.
    Clean,
    /// A threat.
    Malicious,
    /// Maybe a threat.
    Suspicious,
    /// Too widely used to say anything by itself.
    Common,
    /// Nobody can tell.
    Unknown,
}

impl Disposition {
    /// CTIM's number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Clean => 1,
            Self::Malicious => 2,
            Self::Suspicious => 3,
            Self::Common => 4,
            Self::Unknown => 5,
        }
    }

    /// CTIM's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clean => "Clean",
            Self::Malicious => "Malicious",
            Self::Suspicious => "Suspicious",
            Self::Common => "Common",
            Self::Unknown => "Unknown",
        }
    }
}

/// What this relay thinks of an observable by what OTX says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judgement<'a> {
    confidence: Confidence,
    disposition: u8,
    disposition_name: &'static str,
    /// `transient:judgement-…`.
    pub id: String,
    observable: Observable<'a>,
    priority: u8,
    reason: Title<'a>,
    reason_uri: String,
    schema_version: &'static str,
    severity: Severity,
    source: &'static str,
    source_uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tlp: Option<Tlp>,
    #[serde(rename = "type")]
    kind: &'static str,
    valid_time: Span,
}

/// What a judgement says beside what all judgements say.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    /// `transient:judgement-…`.
    pub id: String,
    /// What is judged.
    pub observable: Observable<'a>,
    /// What it is.
    pub disposition: Disposition,
    /// How sure that is.
    pub confidence: Confidence,
    /// How bad that is.
    pub severity: Severity,
    /// Which judgement counts where several contradict each other, 0 to 90.
    pub priority: u8,
    /// Why.
    pub reason: Title<'a>,
    /// OTX's page about the observable.
    pub page: String,
    /// The most restricted colour of the pulses it rests on.
    pub tlp: Option<Tlp>,
    /// When it holds.
    pub valid_time: Span,
}

impl<'a> From<Parts<'a>> for Judgement<'a> {
    fn from(parts: Parts<'a>) -> Self {
        let Parts { id, observable, disposition, confidence, severity, priority, reason, page, tlp, valid_time } =
            parts;
        Self {
            confidence,
            disposition: disposition.number(),
            disposition_name: disposition.name(),
            id,
            observable,
            priority,
            reason,
            reason_uri: page.clone(),
            schema_version: SCHEMA_VERSION,
            severity,
            source: SOURCE,
            source_uri: page,
            tlp,
            kind: "judgement",
            valid_time,
        }
    }
}

/// The judgement that counts of an observable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict<'a> {
    disposition: u8,
    disposition_name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    judgement_id: Option<String>,
    observable: Observable<'a>,
    #[serde(rename = "type")]
    kind: &'static str,
    valid_time: Span,
}

impl<'a> Verdict<'a> {
    /// The verdict that `judgement` is, where it stands beside it.
    #[must_use]
    pub fn beside(judgement: &Judgement<'a>) -> Self {
        Self { judgement_id: Some(judgement.id.clone()), ..Self::alone(judgement) }
    }

    /// The verdict that `judgement` is, where it is not told.
    #[must_use]
    pub fn alone(judgement: &Judgement<'a>) -> Self {
        Self {
            disposition: judgement.disposition,
            disposition_name: judgement.disposition_name,
            judgement_id: None,
            observable: judgement.observable,
            kind: "verdict",
            valid_time: judgement.valid_time.clone(),
        }
    }
}
