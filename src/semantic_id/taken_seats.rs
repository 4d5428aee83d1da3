//! Taken IDs that several items may share, and the room that they leave for further members.

use std::collections::HashMap;

use ndarray::{Array2, ArrayView1, ArrayView2};
use rayon::prelude::*;

use super::members::{ItemClasses, MemberFacts};
use super::occupied::Occupied;
use crate::error::Result;

/// The room that taken IDs leave for further members.
#[derive(Debug, Clone, Default)]
pub struct TakenSeats {
    pub(super) seats: HashMap<u128, Seat>,
}

/// A taken ID.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat {
    pub(super) class: u32,
    pub(super) members: u16,
}

impl TakenSeats {
    /// The IDs `codes (n, levels)` of items with these `classes`, and the IDs of deleted items in quarantine `(m, levels)`.
    /// An ID in quarantine that no item has gets no new member. A deleted member of another ID counts as a member. `facts`
    /// are those of the new items. Classes are compared by name.
    pub fn of_ids(
        codes: ArrayView2<u16>,
        classes: Option<&ItemClasses>,
        quarantined: ArrayView2<u16>,
        facts: &MemberFacts,
    ) -> Self {
        let names = facts.classes.as_ref().map(|classes| &classes.names);
        let number: HashMap<&str, u32> =
            names.into_iter().flatten().zip(0..).map(|(name, number)| (name.as_str(), number)).collect();
        let class = |row: usize| match (classes, &facts.classes) {
            (Some(classes), Some(_)) => number.get(classes.name(row)).copied().unwrap_or(u32::MAX),
            _ => 0,
        };
        let mut seats: HashMap<u128, Seat> = HashMap::with_capacity(codes.nrows());
        for (row, codes) in codes.rows().into_iter().enumerate() {
            let empty = Seat { class: class(row), members: 0 };
            let seat = seats.entry(key_of(codes)).or_insert(empty);
            seat.members = seat.members.saturating_add(1);
        }
        for codes in quarantined.rows() {
            let full = Seat { class: u32::MAX, members: u16::MAX };
            let seat = seats.entry(key_of(codes)).or_insert(full);
            seat.members = seat.members.saturating_add(1);
        }
        TakenSeats { seats }
    }

    /// Number of taken IDs.
    pub(super) fn len(&self) -> usize {
        self.seats.len()
    }

    /// The taken codes.
    pub(super) fn occupied(&self, sizes: &[usize]) -> Result<Occupied> {
        let mut keys: Vec<u128> = self.seats.keys().copied().collect();
        keys.par_sort_unstable();
        let levels = sizes.len();
        let code = |(row, level): (usize, usize)| (keys[row] >> (16 * (levels - 1 - level))) as u16;
        Occupied::of_codes(Array2::from_shape_fn((keys.len(), levels), code).view(), sizes)
    }

    /// Adds a member. Returns whether the ID had room for it.
    pub(super) fn add(&mut self, key: u128, class: u32, capacity: u16) -> bool {
        let seat = self.seats.entry(key).or_insert(Seat { class, members: 0 });
        let fits = seat.takes(class, capacity);
        seat.members += u16::from(fits);
        fits
    }
}

impl Seat {
    pub(super) fn takes(self, class: u32, capacity: u16) -> bool {
        self.class == class && self.members < capacity
    }
}

/// A code as one number, 16 bits per level.
pub(super) fn key_of(codes: ArrayView1<u16>) -> u128 {
    codes.iter().fold(0, |key, &code| key << 16 | u128::from(code))
}
