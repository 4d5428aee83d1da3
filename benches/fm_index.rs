//! How long the FM-index of identifiers takes to build, how large it is, and how long a step of generation takes. Not a
//! timed test: `cargo bench --locked --bench fm_index --no-default-features`, with other numbers of items as arguments.

use std::hint::black_box;
use std::time::Instant;

use catalex::constraint::{Document, FmIndex};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;

/// Tokens of the language model, as many as large ones have.
const VOCABULARY: u32 = 150_000;
const QUERIES: usize = 100_000;
/// Tokens that mark facets: `||`, `##`, `@@`, and the end.
const MARKS: [u32; 4] = [VOCABULARY, VOCABULARY + 1, VOCABULARY + 2, VOCABULARY + 3];

/// Items as TransRec writes them, with a semantic ID: a number in pieces of up to three digits, one to three
/// categories of two tokens, a title of 6 to 30 tokens with Zipf's law, four codes.
fn documents(n: usize, rng: &mut Xoshiro256Plus) -> Vec<Document> {
    let [id, attribute, attribute_end, end] = MARKS;
    (0..n)
        .map(|item| {
            let number = vec![id, item as u32 / 1_000, item as u32 % 1_000];
            let attributes = (0..rng.gen_range(1..4)).flat_map(|_| {
                let category = rng.gen_range(0..400);
                [attribute, 2_000 + category / 20, 3_000 + category, attribute_end]
            });
            let attributes = attributes.collect();
            // The rank of a word is a power of an even draw: half the words are among the first 400.
            let word =
                |rng: &mut Xoshiro256Plus| (f64::from(VOCABULARY).powf(rng.gen_range(0.0..1.0))) as u32 % VOCABULARY;
            let length = rng.gen_range(6..31);
            let title = (0..length).map(|_| word(rng)).collect();
            let codes = (0..4).map(|level| 200_000 + level * 256 + rng.gen_range(0..256)).chain([end]).collect();
            Document { facets: vec![number, attributes, title, codes] }
        })
        .collect()
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let numbers = if numbers.is_empty() { vec![100_000] } else { numbers };
    println!(
        "{:>10}{:>12}{:>10}{:>15}{:>11}{:>16}{:>14}{:>10}",
        "items", "tokens", "build", "bytes an item", "a step", "continuations", "tokens found", "locate"
    );
    for n in numbers {
        let mut rng = Xoshiro256Plus::seed_from_u64(1);
        let documents = documents(n, &mut rng);
        let tokens: usize = documents.iter().flat_map(|document| &document.facets).map(Vec::len).sum();
        // Pieces of identifiers of 1 to 8 tokens, from any place.
        let pieces: Vec<Vec<u32>> = (0..QUERIES)
            .map(|_| {
                let joined = documents[rng.gen_range(0..n)].facets.concat();
                let from = rng.gen_range(0..joined.len());
                joined[from..joined.len().min(from + rng.gen_range(1..9))].to_vec()
            })
            .collect();
        let start = Instant::now();
        let index = match FmIndex::new(documents) {
            Ok(index) => index,
            Err(error) => return eprintln!("{error}"),
        };
        let built = start.elapsed().as_secs_f64();

        let start = Instant::now();
        let found: Vec<_> = pieces.iter().map(|piece| index.range(piece)).collect();
        let step = start.elapsed().as_nanos() as f64 / pieces.iter().map(Vec::len).sum::<usize>() as f64;
        let start = Instant::now();
        let next: usize = found.iter().map(|&found| black_box(index.continuations(found)).tokens.len()).sum();
        let continuations = start.elapsed().as_nanos() as f64 / 1e3 / QUERIES as f64;
        let start = Instant::now();
        let located: usize = found.iter().map(|&found| index.locate(found).take(10).map(black_box).count()).sum();
        let locate = start.elapsed().as_nanos() as f64 / located as f64;
        println!(
            "{n:>10}{tokens:>12}{built:>8.2} s{:>15.1}{step:>8.0} ns{continuations:>13.1} us{:>14.1}{locate:>7.0} ns",
            index.size() as f64 / n as f64,
            next as f64 / QUERIES as f64
        );
    }
}
