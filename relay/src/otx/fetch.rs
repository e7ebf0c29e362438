//! Fetching a pulse's listing: in one body for small pulses, else all pages at once. The arithmetic of pages is only a
//! guess to start from; what the pages say (`next`, their rows) decides.

use std::sync::{Mutex, PoisonError};

use futures_util::future::try_join_all;

use super::Ask;
use super::client::{Client, Sink};
use super::endpoint::Endpoint;
use super::failure::Failure;
use super::listing::{Listing, Row};
use super::page::{PageHead, PageReader, WireRow};
use super::pulse::Pulse;

/// Below, a pulse's own text outweighs what its shorter rows save; above, OTX may fail to answer in one body (4,090
/// rows were measured to arrive, 335,000 not to).
const WHOLE_PULSE_ROWS: std::ops::RangeInclusive<u64> = 12..=5_000;
/// Pages of one listing under way at once: what is in flight is memory, and OTX's patience.
const PAGES_AT_ONCE: u64 = 8;
/// Pages that `next` may lead to beyond what `count` announces.
const MOST_UNANNOUNCED_PAGES: u64 = 200;

/// Rows that memory is set aside for on the word of a pulse; the largest known pulse has 335,000.
const MOST_ROWS_RESERVED: u64 = 500_000;

/// What listings are fetched with.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) page_rows: u32,
    pub(super) page_bytes: usize,
}

/// What of a pulse its listing is fetched by; the rest of a pulse can be large.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    id: String,
    public: bool,
    indicator_count: Option<u64>,
}

impl From<&Pulse> for Listed {
    fn from(pulse: &Pulse) -> Self {
        Self { id: pulse.id.clone(), public: pulse.public, indicator_count: pulse.indicator_count }
    }
}

/// Rows of a listing as they arrive, from all its pages. A row that a second try of a page brings again does no harm.
type Rows = Mutex<Vec<Row>>;

/// One page, read.
struct Page {
    head: PageHead,
    /// The same for the same rows in the same order.
    fingerprint: u64,
}

/// Indexes rows as they arrive.
struct RowSink<'a> {
    reader: PageReader,
    rows: &'a Rows,
    fingerprint: u64,
}

impl<'a> RowSink<'a> {
    fn new(array: &'static str, rows: &'a Rows) -> Self {
        Self { reader: PageReader::new(array), rows, fingerprint: 0 }
    }
}

impl Sink for RowSink<'_> {
    type Output = Page;

    fn push(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        let Self { reader, rows, fingerprint } = self;
        let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keep = |row: &WireRow<'_>| {
            let row = Row::of(row);
            *fingerprint = row.map_or(*fingerprint, |row| fingerprint.rotate_left(5) ^ row.fingerprint());
            rows.extend(row);
        };
        reader.feed(chunk, &mut keep).map_err(|_| Failure::NotJson)
    }

    fn finish(self) -> Result<Page, Failure> {
        let head = self.reader.finish().map_err(|_| Failure::NotJson)?;
        Ok(Page { head, fingerprint: self.fingerprint })
    }
}

/// Fetches the listing of `pulse`. `check_key` asks where OTX looks at the key.
pub(super) async fn listing(
    client: &Client,
    ask: &Ask,
    pulse: &Listed,
    sizes: Sizes,
    check_key: bool,
) -> Result<Listing, Failure> {
    let count = pulse.indicator_count;
    let announced = count.unwrap_or(0).min(MOST_ROWS_RESERVED);
    let rows = Rows::new(Vec::with_capacity(usize::try_from(announced).unwrap_or(0)));
    if !check_key && pulse.public && count.is_some_and(|count| WHOLE_PULSE_ROWS.contains(&count)) {
        let endpoint = Endpoint::Pulse { id: &pulse.id };
        match client.call(ask, endpoint, sizes.page_bytes, || RowSink::new("indicators", &rows)).await {
            Ok(_) => return Ok(listing_of(rows)),
            // The pages may still answer where the whole does not, but not these.
            Err(failure @ (Failure::KeyRefused | Failure::Throttled { .. } | Failure::BudgetSpent { .. })) => {
                return Err(failure);
            }
            Err(failure @ (Failure::Deadline(_) | Failure::CircuitOpen)) => return Err(failure),
            Err(_) => {}
        }
    }
    // A listing that changed while its pages were read may lack a row that moved from one page to another: it is read
    // once more, and both readings count.
    for _ in 0..2 {
        if pages(client, ask, pulse, sizes, &rows).await? == Consistency::Same {
            break;
        }
    }
    Ok(listing_of(rows))
}

fn listing_of(rows: Rows) -> Listing {
    Listing::new(rows.into_inner().unwrap_or_else(PoisonError::into_inner))
}

#[derive(PartialEq, Eq)]
enum Consistency {
    Same,
    Changed,
}

async fn pages(
    client: &Client,
    ask: &Ask,
    pulse: &Listed,
    sizes: Sizes,
    rows: &Rows,
) -> Result<Consistency, Failure> {
    let fetch = |page: u64| async move {
        let number = u32::try_from(page).map_err(|_| Failure::Endless)?;
        let endpoint = Endpoint::Page { id: &pulse.id, limit: sizes.page_rows, page: number };
        match client.call(ask, endpoint, sizes.page_bytes, || RowSink::new("results", rows)).await {
            // Past the end OTX answers 404 or an empty page, nobody knows which.
            Err(Failure::Status(400 | 404)) if page > 1 => Ok(Page { head: PageHead::default(), fingerprint: 0 }),
            outcome => outcome,
        }
    };
    let asked_rows = u64::from(sizes.page_rows);
    let mut wanted = pulse.indicator_count.unwrap_or(0).div_ceil(asked_rows).clamp(1, PAGES_AT_ONCE);
    let mut read = 0;
    let mut rows_a_page = asked_rows;
    let mut count = None;
    let mut consistency = Consistency::Same;
    let mut previous = None;
    loop {
        let batch = try_join_all((read + 1..=wanted).map(fetch)).await?;
        if read == 0
            && let Some(first) = batch.first()
        {
            rows_a_page = u64::try_from(first.head.elements).unwrap_or(asked_rows).clamp(1, asked_rows);
        }
        read = wanted;
        let mut last = PageHead::default();
        for page in batch {
            last = page.head;
            if page.head.count.is_some() && *count.get_or_insert(page.head.count) != page.head.count {
                consistency = Consistency::Changed;
            }
            // A server that ignores `page` gives the same rows for ever, and never the others.
            if page.head.has_next && page.head.elements > 0 && previous == Some(page.fingerprint) {
                return Err(Failure::Endless);
            }
            previous = Some(page.fingerprint);
        }
        if !last.has_next || last.elements == 0 {
            return Ok(consistency);
        }
        // The server gives fewer rows a page than asked for, or the listing has grown: go on from what it says now.
        let total = last.count.unwrap_or(0).div_ceil(rows_a_page);
        if read >= total.saturating_mul(2).max(MOST_UNANNOUNCED_PAGES) {
            return Err(Failure::Endless);
        }
        wanted = total.clamp(read + 1, read + PAGES_AT_ONCE);
    }
}
