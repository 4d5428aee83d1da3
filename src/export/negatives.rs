//! Negatives: random items without an event of the user.

use std::cell::RefCell;
use std::collections::HashSet;

use rand::Rng;

use super::record_rng::RecordRng;
use crate::behaviour::UserHistory;

/// The rows from which negatives are drawn. The data of a user is cached until the next user.
pub(super) struct NegativePool {
    rows: Vec<u32>,
    user: RefCell<Option<UserNegatives>>,
}

struct UserNegatives {
    user: usize,
    /// Rows of the user's history.
    held: HashSet<u32>,
    /// Positions in the pool of all other rows, computed when needed.
    free: Option<Vec<usize>>,
}

impl NegativePool {
    pub(super) fn new(rows: Vec<u32>) -> Self {
        NegativePool { rows, user: RefCell::new(None) }
    }

    /// Samples up to `n` different rows of the pool, without those of the user's history.
    pub(super) fn sample(&self, user: &UserHistory<'_>, n: usize, rng: &mut RecordRng) -> Vec<u32> {
        let pool = &self.rows;
        let mut known = self.user.borrow_mut();
        if known.as_ref().is_none_or(|known| known.user != user.number) {
            *known = Some(UserNegatives { user: user.number, held: user.rows.iter().copied().collect(), free: None });
        }
        let Some(UserNegatives { held, free, .. }) = &mut *known else { return Vec::new() };
        let mut found: Vec<u32> = Vec::with_capacity(n.min(pool.len()));
        for _ in 0..n.saturating_mul(20) {
            if found.len() == n || pool.is_empty() {
                return found;
            }
            let row = pool[rng.gen_range(0..pool.len())];
            if !found.contains(&row) && !held.contains(&row) {
                found.push(row);
            }
        }
        // Few rows are left: take them in the order of the pool, from a random position.
        let from = rng.gen_range(0..pool.len().max(1));
        let free = free.get_or_insert_with(|| (0..pool.len()).filter(|&at| !held.contains(&pool[at])).collect());
        let (before, after) = free.split_at(free.partition_point(|&at| at < from));
        for &at in after.iter().chain(before) {
            if found.len() == n {
                break;
            }
            if !found.contains(&pool[at]) {
                found.push(pool[at]);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behaviour::{Histories, HistorySplit};
    use crate::catalog::{Event, Interactions};
    use crate::export::record_rng::record_rng;
    use crate::item_ids::ItemIds;

    /// A reference implementation of [`NegativePool::sample`], which searches the whole history for every draw.
    fn plainly(pool: &[u32], rows: &[u32], n: usize, rng: &mut RecordRng) -> Vec<u32> {
        let mut found: Vec<u32> = Vec::new();
        let fits = |found: &[u32], row: u32| !found.contains(&row) && !rows.contains(&row);
        for _ in 0..20 * n {
            if found.len() == n || pool.is_empty() {
                return found;
            }
            let row = pool[rng.gen_range(0..pool.len())];
            if fits(&found, row) {
                found.push(row);
            }
        }
        let from = rng.gen_range(0..pool.len().max(1));
        for &row in pool[from..].iter().chain(&pool[..from]) {
            if found.len() < n && fits(&found, row) {
                found.push(row);
            }
        }
        found
    }

    #[test]
    fn draws_equal_those_of_the_reference_implementation() {
        let items = 40;
        let event = |item: u32| Event { item, time: f64::from(item), rating: 0.0 };
        let read = Interactions {
            users: ["few", "most", "all"].map(str::to_owned).to_vec(),
            items: (0..items).map(|item| item.to_string()).collect(),
            histories: [0..5, 2..38, 0..40].map(|rows| rows.map(event).collect()).to_vec(),
            timed: true,
            ..Interactions::default()
        };
        let ids = ItemIds::row_numbers(items as usize);
        let histories = Histories::new(&read, &ids, HistorySplit::LeaveOneOut, 3).unwrap();
        let rows: Vec<u32> = (0..items).filter(|row| row % 7 != 3).collect();
        let pool = NegativePool::new(rows.clone());
        for user in histories.users() {
            for (number, n) in (0..200).zip([1, 2, 3, 10].into_iter().cycle()) {
                let (mut rng, mut other) = (record_rng(1, "task", number), record_rng(1, "task", number));
                assert_eq!(pool.sample(&user, n, &mut rng), plainly(&rows, user.rows, n, &mut other), "{}", user.id);
            }
        }
    }
}
