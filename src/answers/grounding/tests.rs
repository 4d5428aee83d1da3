use ndarray::{Array2, array};
use proptest::prelude::*;

use super::*;
use crate::progress::Silent;

fn matrix(rows: usize, dim: usize, seed: u64) -> Array2<f32> {
    use rand::{Rng, SeedableRng};
    let mut rng = rand_xoshiro::Xoshiro256Plus::seed_from_u64(seed);
    Array2::from_shape_simple_fn((rows, dim), || rng.gen_range(-1.0..1.0))
}

/// All scores by the formula, in double precision.
fn by_hand(
    items: &Array2<f32>,
    answer: ndarray::ArrayView1<f32>,
    weight: impl Fn(usize) -> f32,
    gamma: f64,
) -> Vec<f64> {
    let distance = |row: ndarray::ArrayView1<f32>| {
        row.iter().zip(answer).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
    };
    let all: Vec<f64> = items.rows().into_iter().map(distance).collect();
    let (least, most) = all.iter().fold((f64::INFINITY, 0f64), |(a, b), &d| (a.min(d), b.max(d)));
    let score = |(item, d): (usize, &f64)| (d - least) / (most - least) * (1.0 + f64::from(weight(item))).powf(-gamma);
    all.iter().enumerate().map(score).collect()
}

proptest! {
    #[test]
    fn rankings_follow_the_formula(seed in 0u64..1_000, items in 2usize..1_500, gamma in 0.0..20.0f64) {
        let (vectors, answers) = (matrix(items, 5, seed), matrix(7, 5, seed + 1));
        let weights = matrix(7, items, seed + 2).mapv(f32::abs);
        let grounding = Grounding::new(vectors.view()).unwrap();
        let top = 10.min(items);
        for (weights, of) in [
            (GroundingWeights::Items(weights.row(0).to_vec()), 0),
            (GroundingWeights::Answers(weights.clone()), 1),
        ] {
            let found = grounding.rank(answers.view(), Some((&weights, gamma)), top, &Silent).unwrap();
            for (row, found) in found.iter().enumerate() {
                let weight = |item: usize| match &weights {
                    GroundingWeights::Items(w) => w[item],
                    GroundingWeights::Answers(w) => w[(row * of, item)],
                };
                let scores = by_hand(&vectors, answers.row(row), weight, gamma);
                let mut order: Vec<usize> = (0..items).collect();
                order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
                prop_assert_eq!(found.len(), top);
                for (found, &item) in found.iter().zip(&order) {
                    prop_assert!((found.score - scores[item]).abs() < 1e-5, "{} {}", found.score, scores[item]);
                    prop_assert!((found.score - scores[found.item]).abs() < 1e-5);
                }
            }
        }
    }
}

#[test]
fn the_vector_of_an_item_is_grounded_to_that_item() {
    let items = matrix(3_000, 16, 3);
    let grounding = Grounding::new(items.view()).unwrap();
    let found = grounding.rank(items.slice(ndarray::s![500..1_100, ..]), None, 3, &Silent).unwrap();
    assert_eq!(found.len(), 600);
    for (row, found) in found.iter().enumerate() {
        assert_eq!((found[0].item, found[0].distance, found[0].score), (500 + row, 0.0, 0.0));
        assert!(found[1].distance > 0.0 && found[1].distance <= found[2].distance);
    }
}

#[test]
fn ties_are_ordered_by_row_and_equal_distances_are_no_error() {
    let items = array![[1.0f32, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]];
    let grounding = Grounding::new(items.view()).unwrap();
    let found = grounding.rank(array![[0.0f32, 0.0]].view(), None, 9, &Silent).unwrap();
    let found: Vec<_> = found[0].iter().map(|one| (one.item, one.distance, one.score)).collect();
    assert_eq!(found, [(0, 1.0, 0.0), (1, 1.0, 0.0), (2, 1.0, 0.0), (3, 1.0, 0.0)]);
}

#[test]
fn the_search_finds_the_best_gamma() {
    // The popular item is always the target, though another one is a little nearer.
    let items = array![[1.0f32, 0.0], [0.0, 1.02], [-5.0, -5.0]];
    let answers = array![[0.01f32, 0.0], [0.015, 0.0]];
    let grounding = Grounding::new(items.view()).unwrap();
    let weights = popularity(&[3, 103, 3]);
    assert_eq!(weights, GroundingWeights::Items(vec![0.0, 1.0, 0.0]));
    let targets = [1, 1];
    let plain = grounding.measure(answers.view(), None, &targets, &Silent).unwrap();
    assert_eq!((plain[0].measure.as_str(), plain[0].value), ("Recall@1", 0.0));
    let chosen = grounding.search(answers.view(), &weights, &targets, &Silent).unwrap();
    // The nearest item has a normalized distance of zero, so no weight can move another one before it.
    assert_eq!((chosen.measured[0].value, chosen.measured[2].value), (0.0, 1.0));
    let ndcg = &chosen.measured[3];
    assert_eq!((ndcg.measure.as_str(), ndcg.gamma), ("NDCG@3", 0.0));
    let with = grounding.measure(answers.view(), Some((&weights, &chosen)), &targets, &Silent).unwrap();
    assert_eq!(with, chosen.measured);
}

#[test]
fn mismatched_inputs_are_refused() {
    let items = matrix(4, 3, 0);
    let grounding = Grounding::new(items.view()).unwrap();
    let says = |weights: GroundingWeights| {
        let answers = matrix(2, 3, 1);
        grounding.rank(answers.view(), Some((&weights, 1.0)), 1, &Silent).unwrap_err().to_string()
    };
    assert!(says(GroundingWeights::Items(vec![1.0; 3])).contains("[4]"));
    assert!(says(GroundingWeights::Answers(Array2::zeros((3, 4)))).contains("[2, 4]"));
    assert!(says(GroundingWeights::Items(vec![-1.0, 0.0, 0.0, 0.0])).contains("at least 0"));
    assert!(says(GroundingWeights::Items(vec![f32::NAN, 0.0, 0.0, 0.0])).contains("finite"));
    let wide = matrix(2, 4, 1);
    assert!(grounding.rank(wide.view(), None, 1, &Silent).unwrap_err().to_string().contains("length 3"));
    assert!(grounding.measure(items.view(), None, &[0], &Silent).unwrap_err().to_string().contains("4 items"));
    assert!(Grounding::new(Array2::zeros((0, 3)).view()).is_err());
}
