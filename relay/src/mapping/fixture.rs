//! Look-ups for unit tests.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use crate::observable::{Observable, ObservableType};
use crate::otx::pulse::Pulse;
use crate::otx::time::Moment;
use crate::otx::types::General;
use crate::otx::{Known, Lookup, Match};

/// A pulse with this id.
pub(super) fn pulse(id: &str) -> Pulse {
    Pulse {
        id: id.into(),
        name: Some("Campaign".into()),
        description: Some("Words".into()),
        tags: vec!["c2".into()],
        tlp: Some("GREEN".into()),
        author: Some("rose".into()),
        ..Pulse::default()
    }
}

pub(super) fn moment(text: &str) -> Moment {
    Moment::parse(text).unwrap()
}

/// An address that stands in these pulses, from when and until when.
pub(super) fn lookup(value: &str, pulses: Vec<Pulse>, times: &[(&str, Option<&str>)]) -> Lookup {
    lookup_in(value, General { pulses, ..General::default() }, times)
}

/// An address of which OTX says this.
pub(super) fn lookup_in(value: &str, general: General, times: &[(&str, Option<&str>)]) -> Lookup {
    let matches = times.iter().enumerate().map(|(pulse, (since, until))| Match {
        pulse,
        since: moment(since),
        until: until.map(moment),
    });
    let known = Known { matches: matches.collect(), general: Arc::new(general), ..Known::default() };
    Lookup { observable: Observable { kind: ObservableType::Ip, value: value.into() }, outcome: Ok(Arc::new(known)) }
}
