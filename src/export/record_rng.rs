//! Random number generators that depend on the seed and the record only, not on earlier draws. A record is therefore the
//! same in a dry run, for some users or for all.

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::behaviour::UserHistory;

pub(super) type RecordRng = Xoshiro256PlusPlus;

/// The generator of one record: of a task, for the `number`-th event or item.
pub(super) fn record_rng(seed: u64, task: &str, number: u64) -> RecordRng {
    RecordRng::seed_from_u64(hash(seed, task, number))
}

/// A hash of the arguments.
pub(super) fn hash(seed: u64, task: &str, number: u64) -> u64 {
    // FNV-1a over the task, then the last steps of SplitMix64.
    let name = task
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3));
    let mut mixed = seed ^ name.rotate_left(17) ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// The number of an event of a user's history, for [`record_rng`].
pub(super) fn event_number(user: &UserHistory<'_>, at: usize) -> u64 {
    (user.number as u64) << 24 ^ at as u64
}
