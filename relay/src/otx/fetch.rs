//! Fetching a pulse's listing: in one body for small pulses, else all pages at once. The arithmetic of pages is only a
//! guess to start from; what the pages say (`next`, their rows) decides.

use futures_util::future::try_join_all;

use super::Ask;
use super::client::{Client, Sink};
use super::endpoint::Endpoint;
use super::failure::Failure;
use super::listing::{Listing, Row};
use super::page::{PageHead, PageReader};
use super::types::Pulse;

/// Below, a pulse's own text outweighs what its shorter rows save; above, OTX may fail to answer in one body (4,090
/// rows were measured to arrive, 335,000 not to).
const WHOLE_PULSE_ROWS: std::ops::RangeInclusive<u64> = 12..=5_000;
/// Pages asked for at once before any has told how many there are.
const PAGES_AT_ONCE: u64 = 64;
/// Pages that `next` may lead to beyond what `count` announces.
const MOST_UNANNOUNCED_PAGES: u64 = 200;

/// What listings are fetched with.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) page_rows: u32,
    pub(super) page_bytes: usize,
}

/// One page, read.
struct Page {
    rows: Vec<Row>,
    head: PageHead,
}

/// Indexes rows as they arrive.
struct RowSink {
    reader: PageReader,
    rows: Vec<Row>,
}

impl RowSink {
    fn new(array: &'static str) -> Self {
        Self { reader: PageReader::new(array), rows: Vec::new() }
    }
}

impl Sink for RowSink {
    type Output = Page;

    fn push(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        let Self { reader, rows } = self;
        reader.feed(chunk, &mut |row| rows.extend(Row::of(row))).map_err(|_| Failure::NotJson)
    }

    fn finish(self) -> Result<Page, Failure> {
        let head = self.reader.finish().map_err(|_| Failure::NotJson)?;
        Ok(Page { rows: self.rows, head })
    }
}

/// Fetches the listing of `pulse`. `check_key` asks where OTX looks at the key.
pub(super) async fn listing(
    client: &Client,
    ask: &Ask,
    pulse: &Pulse,
    sizes: Sizes,
    check_key: bool,
) -> Result<Listing, Failure> {
    let count = pulse.indicator_count;
    if !check_key && pulse.public && count.is_some_and(|count| WHOLE_PULSE_ROWS.contains(&count)) {
        let endpoint = Endpoint::Pulse { id: &pulse.id };
        match client.call(ask, endpoint, sizes.page_bytes, || RowSink::new("indicators")).await {
            Ok(page) => return Ok(Listing::new(page.rows)),
            // The pages may still answer where the whole does not, but not these.
            Err(failure @ (Failure::KeyRefused | Failure::Throttled { .. } | Failure::BudgetSpent { .. })) => {
                return Err(failure);
            }
            Err(failure @ (Failure::Deadline(_) | Failure::CircuitOpen)) => return Err(failure),
            Err(_) => {}
        }
    }
    let mut rows = Vec::new();
    // A listing that changed while its pages were read may lack a row that moved from one page to another: it is read
    // once more, and both readings count.
    for _ in 0..2 {
        if pages(client, ask, pulse, sizes, &mut rows).await? == Consistency::Same {
            break;
        }
    }
    Ok(Listing::new(rows))
}

#[derive(PartialEq, Eq)]
enum Consistency {
    Same,
    Changed,
}

async fn pages(
    client: &Client,
    ask: &Ask,
    pulse: &Pulse,
    sizes: Sizes,
    rows: &mut Vec<Row>,
) -> Result<Consistency, Failure> {
    let fetch = |page: u64| async move {
        let number = u32::try_from(page).map_err(|_| Failure::Endless)?;
        let endpoint = Endpoint::Page { id: &pulse.id, limit: sizes.page_rows, page: number };
        match client.call(ask, endpoint, sizes.page_bytes, || RowSink::new("results")).await {
            // Past the end OTX answers 404 or an empty page, nobody knows which.
            Err(Failure::Status(400 | 404)) if page > 1 => Ok(Page { rows: Vec::new(), head: PageHead::default() }),
            outcome => outcome,
        }
    };
    let asked_rows = u64::from(sizes.page_rows);
    let mut wanted = pulse.indicator_count.unwrap_or(0).div_ceil(asked_rows).clamp(1, PAGES_AT_ONCE);
    let mut read = 0;
    let mut rows_a_page = asked_rows;
    let mut count = None;
    let mut consistency = Consistency::Same;
    let mut previous: Vec<Row> = Vec::new();
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
            if page.head.has_next && !page.rows.is_empty() && page.rows == previous {
                return Err(Failure::Endless);
            }
            rows.extend_from_slice(&page.rows);
            previous = page.rows;
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
