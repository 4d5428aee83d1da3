//! The records of each family.

pub(super) mod agents;
pub(super) mod big_rec;
pub(super) mod chat;
pub(super) mod instruct_rec;
pub(super) mod lc_rec;
pub(super) mod mini_one_rec;
pub(super) mod open_one_rec;
pub(super) mod ranking;
pub(super) mod sequences;
pub(super) mod tall_rec;
pub(super) mod tasks;
pub(super) mod trans_rec;
