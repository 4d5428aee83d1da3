//! Blocks of rows, which bound the memory of temporary matrices on a device.

use tch::Tensor;

/// Numbers of a temporary matrix at most, unless a single row has more: 128 MiB of `f32`.
pub(super) const BLOCK_NUMBERS: usize = 1 << 25;

/// The blocks of `n` rows for temporary matrices with this many columns, as first row and number of rows.
pub(super) fn blocks(n: usize, columns: usize) -> impl Iterator<Item = (i64, i64)> {
    let rows = (BLOCK_NUMBERS / columns.max(1)).max(1);
    (0..n).step_by(rows).map(move |from| (from as i64, rows.min(n - from) as i64))
}

/// Adds `sign` times the codeword of each row, by its code `(n,)`, to `rows (n, dim)` in place.
pub(super) fn add_codewords(rows: &Tensor, codes: &Tensor, book: &Tensor, sign: f64) {
    let size = rows.size();
    let signed = book * sign;
    for (from, length) in blocks(size[0] as usize, size[1] as usize) {
        let codewords = signed.index_select(0, &codes.narrow(0, from, length));
        let _ = rows.narrow(0, from, length).g_add_(&codewords);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_all_rows_and_stay_below_the_bound() {
        for (n, columns) in [(1, 1), (7, BLOCK_NUMBERS / 3), (5, BLOCK_NUMBERS * 2), (1 << 20, 256)] {
            let mut next = 0;
            for (from, length) in blocks(n, columns) {
                assert_eq!(from, next);
                assert!(length == 1 || length as usize * columns <= BLOCK_NUMBERS);
                next += length;
            }
            assert_eq!(next as usize, n);
        }
    }
}
