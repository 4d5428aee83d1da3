//! Which items a report shows.

use crate::semantic_id::{Lookup, TokenTable};

/// Maximum number of items in a report.
const MAX_ITEMS: usize = 100_000;
/// Maximum number of points of the map.
const MAX_POINTS: usize = 20_000;
/// In a large catalog, only every n-th item of the report is a point of the map.
const ITEMS_PER_POINT: usize = 5;

/// The rows of the items that the report of a table shows, in the order of their codes: all, or evenly spaced ones of
/// more than 100,000. A report may show fewer if its size limit requires it, but no others, so only the texts of these
/// rows need to be read.
pub fn report_rows(table: &TokenTable) -> Vec<usize> {
    Lookup::new(table).rows(&[]).iter().copied().step_by(step(table.codes.nrows())).collect()
}

/// The report shows every n-th item, in the order of the codes.
pub(super) fn step(items: usize) -> usize {
    items.div_ceil(MAX_ITEMS).max(1)
}

/// The rows of the map's points, in the order of their codes; a subset of [`report_rows`].
pub(super) fn map_rows(table: &TokenTable) -> Vec<usize> {
    let items = table.codes.nrows();
    let step = if items <= MAX_POINTS { 1 } else { step(items) * ITEMS_PER_POINT };
    Lookup::new(table).rows(&[]).iter().copied().step_by(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::tests::table;
    use ndarray::Array2;
    use std::collections::HashSet;

    #[test]
    fn points_are_among_the_items_of_the_report() {
        for n in [5, 20_001, 100_000, 250_001] {
            let table =
                table(Array2::from_shape_fn((n, 2), |(i, j)| [i * 7 % n / 600, i * 7 % n % 600][j] as u16), &[600; 2]);
            let rows = report_rows(&table);
            assert!(rows.len() <= MAX_ITEMS && (n > MAX_ITEMS || rows.len() == n));
            let (points, rows) = (map_rows(&table), rows.into_iter().collect::<HashSet<_>>());
            assert!(points.len() <= MAX_POINTS && points.iter().all(|row| rows.contains(row)), "{n}");
        }
    }
}
