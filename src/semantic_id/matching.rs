//! Minimum-cost matching of rows to columns by successive shortest augmenting paths (Jonker and Volgenant, 1987), for
//! rows that may each take several columns.
//!
//! Equal items are one row with a supply, so that many copies of one item need short searches only.

use ndarray::ArrayView2;

/// The columns assigned to each row: `supply[row]` of them, cheapest first, at the minimum total cost.
///
/// `wanted[row]` is a column with the minimum cost of the row. Rows are processed in order, so that ties favour earlier
/// rows. The sum of the supplies must not exceed the number of columns.
pub(super) fn cheapest(cost: ArrayView2<f64>, supply: &[usize], wanted: &[usize]) -> Vec<Vec<usize>> {
    let (rows, columns) = cost.dim();
    let mut state = MatchingState {
        cost,
        owner: vec![None; columns],
        row_price: wanted.iter().enumerate().map(|(row, &column)| cost[[row, column]]).collect(),
        column_price: vec![0.0; columns],
    };
    // Each row's minimum as its potential makes all reduced costs non-negative.
    let mut left = supply.to_vec();
    for row in 0..rows {
        if left[row] > 0 && state.owner[wanted[row]].is_none() {
            state.owner[wanted[row]] = Some(row);
            left[row] -= 1;
        }
    }
    for (row, &left) in left.iter().enumerate() {
        for _ in 0..left {
            state.augment(row);
        }
    }
    let mut given = vec![Vec::new(); rows];
    for (column, owner) in state.owner.iter().enumerate() {
        if let Some(row) = *owner {
            given[row].push(column);
        }
    }
    for (row, columns) in given.iter_mut().enumerate() {
        columns.sort_by(|&a, &b| cost[[row, a]].total_cmp(&cost[[row, b]]).then(a.cmp(&b)));
    }
    given
}

struct MatchingState<'a> {
    cost: ArrayView2<'a, f64>,
    /// The row that each column is assigned to.
    owner: Vec<Option<usize>>,
    row_price: Vec<f64>,
    /// At most zero, and zero while the column is free.
    column_price: Vec<f64>,
}

impl MatchingState<'_> {
    /// Assigns one more column to `start` along the cheapest alternating path, by Dijkstra's algorithm on reduced costs.
    fn augment(&mut self, start: usize) {
        let (rows, columns) = self.cost.dim();
        let mut distance = vec![f64::INFINITY; columns];
        let mut from = vec![start; columns];
        // The rows that were reached: through which of their columns, and at what distance.
        let mut reached: Vec<Option<(usize, f64)>> = vec![None; rows];
        reached[start] = Some((columns, 0.0));
        self.scan(start, 0.0, &reached, &mut distance, &mut from);
        let (end, total) = loop {
            // Columns of rows that were reached before lead to no new row.
            let open = (0..columns).filter(|&c| self.owner[c].is_none_or(|row| reached[row].is_none()));
            let nearest = open.min_by(|&a, &b| distance[a].total_cmp(&distance[b]));
            let Some(column) = nearest else { return };
            let Some(row) = self.owner[column] else { break (column, distance[column]) };
            reached[row] = Some((column, distance[column]));
            self.scan(row, distance[column], &reached, &mut distance, &mut from);
        };
        for (price, at) in self.row_price.iter_mut().zip(&reached) {
            *price += at.map_or(0.0, |(_, at)| total - at);
        }
        for (price, owner) in self.column_price.iter_mut().zip(&self.owner) {
            *price -= owner.and_then(|row| reached[row]).map_or(0.0, |(_, at)| total - at);
        }
        let mut column = end;
        loop {
            let row = from[column];
            self.owner[column] = Some(row);
            match reached[row] {
                Some((through, _)) if row != start => column = through,
                _ => return,
            }
        }
    }

    fn scan(&self, row: usize, at: f64, reached: &[Option<(usize, f64)>], distance: &mut [f64], from: &mut [usize]) {
        for (column, &cost) in self.cost.row(row).iter().enumerate() {
            if self.owner[column].is_none_or(|owner| reached[owner].is_none()) {
                let reduced = (cost - self.row_price[row] - self.column_price[column]).max(0.0);
                if at + reduced < distance[column] {
                    distance[column] = at + reduced;
                    from[column] = row;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use proptest::prelude::*;

    fn least(cost: &Array2<f64>, row: usize, taken: &mut Vec<usize>) -> f64 {
        if row == cost.nrows() {
            return 0.0;
        }
        let mut best = f64::INFINITY;
        for column in 0..cost.ncols() {
            if !taken.contains(&column) {
                taken.push(column);
                best = best.min(cost[[row, column]] + least(cost, row + 1, taken));
                taken.pop();
            }
        }
        best
    }

    proptest! {
        #[test]
        fn no_assignment_is_cheaper(rows in 1usize..5, extra in 0usize..3, seed in prop::collection::vec(0u8..9, 35), twins in any::<bool>()) {
            let columns = rows + extra;
            let mut cost = Array2::from_shape_fn((rows, columns), |(i, j)| f64::from(seed[i * columns + j]));
            if twins && rows > 1 {
                let first = cost.row(0).to_owned();
                cost.row_mut(1).assign(&first);
            }
            let favourite = |row: usize| (0..columns).min_by(|&a, &b| cost[[row, a]].total_cmp(&cost[[row, b]])).unwrap();
            let wanted: Vec<usize> = (0..rows).map(favourite).collect();
            let given = cheapest(cost.view(), &vec![1; rows], &wanted);
            let total: f64 = given.iter().enumerate().map(|(row, columns)| cost[[row, columns[0]]]).sum();
            prop_assert!((total - least(&cost, 0, &mut Vec::new())).abs() < 1e-9);
            // Equal rows as one row of supply 2 have the same cost.
            if twins && rows > 1 {
                let merged = cost.select(ndarray::Axis(0), &std::iter::once(0).chain(2..rows).collect::<Vec<_>>());
                let mut supply = vec![1; rows - 1];
                supply[0] = 2;
                let wanted: Vec<usize> = std::iter::once(wanted[0]).chain(wanted[2..].iter().copied()).collect();
                let given = cheapest(merged.view(), &supply, &wanted);
                let merged_total: f64 = given.iter().enumerate().flat_map(|(r, cs)| cs.iter().map(move |&c| (r, c))).map(|(r, c)| merged[[r, c]]).sum();
                prop_assert!((merged_total - total).abs() < 1e-9);
                let mut columns: Vec<usize> = given.concat();
                columns.sort_unstable();
                columns.dedup();
                prop_assert_eq!(columns.len(), rows);
            }
        }
    }
}
