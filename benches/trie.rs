//! How long the trie of valid IDs takes to build, how large it is, and how long a look-up takes. Not a timed test:
//! `cargo bench --locked --bench trie --no-default-features`, with other numbers of items as arguments.

use std::hint::black_box;
use std::time::Instant;

use catalex::constraint::{Prefix, Trie};
use ndarray::Array2;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;

const LEVELS: usize = 4;
const LOOKUPS: usize = 1_000_000;

/// Distinct IDs of 4 levels of 256 codes, in no order: an odd number times a row's number, modulo all there are.
fn codes(n: usize) -> Array2<u16> {
    Array2::from_shape_fn((n, LEVELS), |(row, level)| {
        let number = (row as u32).wrapping_mul(2_654_435_761);
        u16::from(number.to_be_bytes()[level])
    })
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let numbers = if numbers.is_empty() { vec![1_000_000, 10_000_000] } else { numbers };
    println!(
        "{:>12}{:>10}{:>16}{:>22}{:>22}",
        "items", "build", "bytes an item", "allowed after 1-3", "of a tenth of them"
    );
    for n in numbers {
        let codes = codes(n);
        let start = Instant::now();
        let trie = match Trie::new(codes.view()) {
            Ok(trie) => trie,
            Err(error) => return eprintln!("{error}"),
        };
        let built = start.elapsed().as_secs_f64();
        let subset = trie.subset(|row| row % 10 == 0);
        let mut rng = Xoshiro256Plus::seed_from_u64(1);
        let prefixes: Vec<(usize, usize)> =
            (0..LOOKUPS).map(|_| (rng.gen_range(0..n), rng.gen_range(1..LEVELS))).collect();
        let timed = |allowed: &dyn Fn(Prefix) -> usize| {
            let start = Instant::now();
            for &(row, depth) in &prefixes {
                let prefix =
                    codes.row(row).iter().take(depth).try_fold(Prefix::EMPTY, |at, &code| trie.child(at, code));
                black_box(prefix.map(allowed));
            }
            start.elapsed().as_nanos() as f64 / LOOKUPS as f64
        };
        let all = timed(&|prefix| trie.allowed(prefix).len());
        let some = timed(&|prefix| trie.allowed_in(prefix, &subset).count());
        let each = trie.size() as f64 / n as f64;
        println!("{n:>12}{built:>8.2} s{each:>16.2}{all:>19.0} ns{some:>19.0} ns");
    }
}
