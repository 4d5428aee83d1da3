//! Checks of a configuration against the features, and the values that depend on the features.

use super::data::{DataSettings, ModalityWeight};
use crate::error::{Error, Result};
use crate::features::{BEHAVIOUR, IMAGE};
use crate::training::{LcRecConfig, QuantizerConfig};

/// Default weight of images beside other modalities. Images describe an item less well than text: on the emoji and on the
/// items of a game, neighbours agree best with the labels at about this weight.
const IMAGE_WEIGHT: f32 = 0.6;

/// Default weight of behaviour next to other modalities, as a factor of the root mean square length of its vectors:
/// with more events per item, behaviour has more weight. A generative recommender improved most with this weight, both
/// on films with many events per item and on two shops with few (`docs/recommenders.md`). On one of the shops, a fixed
/// weight of 3 was worse than text alone.
const BEHAVIOUR_WEIGHT: f32 = 2.0;

/// Default coherence: search by prefix finds more of an item's neighbours.
const COHERENCE: f64 = 0.02;

/// Default coherence for features with behaviour: a generative recommender of films gains more from prefixes without it.
const COHERENCE_WITH_BEHAVIOUR: f64 = 0.0;

/// Maximum number of weights of the projection: 4 GB. Training needs several times as much.
const MAX_PARAMETERS: usize = 1 << 30;

/// With fewer items none are held out: the codebooks need all of them.
const HOLDOUT_FROM: usize = 1_000;

/// A [`QuantizerConfig`] that fits the features, with every value that depends on them filled in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ValidQuantizerConfig {
    config: QuantizerConfig,
    held_out: usize,
}

impl std::ops::Deref for ValidQuantizerConfig {
    type Target = QuantizerConfig;

    fn deref(&self) -> &QuantizerConfig {
        &self.config
    }
}

impl ValidQuantizerConfig {
    /// Checks a configuration for features of `items` rows with these modalities, by name and dimension.
    ///
    /// # Errors
    /// [`Error::Config`] naming the setting; [`Error::Data`] for fewer than two items.
    pub(super) fn new(mut config: QuantizerConfig, items: usize, modalities: &[(String, usize)]) -> Result<Self> {
        let in_memory = items.min(config.sample_items);
        let held_out = if in_memory >= HOLDOUT_FROM { (in_memory as f64 * config.holdout) as usize } else { 0 };
        let training = in_memory - held_out;
        let largest = check_sizes(&config.codebook_sizes, items, training)?;
        config.latent_dim = config.latent_dim.min(dimension(modalities));
        check_parameters(dimension(modalities), &config.hidden, config.latent_dim)?;
        let behaviour = modalities.iter().any(|(name, _)| name == BEHAVIOUR);
        config.coherence.get_or_insert(if behaviour { COHERENCE_WITH_BEHAVIOUR } else { COHERENCE });
        config.refine_iterations.get_or_insert((12 + training / largest / 10).min(40));
        Ok(ValidQuantizerConfig { config, held_out })
    }

    /// Number of items that are held out of training.
    pub(super) fn held_out(&self) -> usize {
        self.held_out
    }

    /// Rounds of joint refinement.
    pub(super) fn refine_iterations(&self) -> usize {
        self.config.refine_iterations.unwrap_or_default()
    }

    /// Strength with which refinement keeps similar items under one two-code prefix.
    pub(super) fn coherence(&self) -> f64 {
        self.config.coherence.unwrap_or_default()
    }

    /// How the features of these modalities are read.
    ///
    /// # Errors
    /// [`Error::Config`] for a weight of a modality that the features do not have.
    pub(super) fn data_settings(&self, modalities: &[(String, usize)]) -> Result<DataSettings> {
        Ok(DataSettings {
            sample_items: self.sample_items,
            held_out: self.held_out,
            weights: Some(self.weights_of(modalities)?),
            completion: self.complete.then_some(self.latent_dim),
            dropout: self.modality_dropout,
        })
    }

    /// The weight of each modality.
    fn weights_of(&self, modalities: &[(String, usize)]) -> Result<Vec<ModalityWeight>> {
        let has = |name: &String| modalities.iter().any(|(modality, _)| modality == name);
        if let Some(name) = self.modality_weights.keys().find(|name| !has(name)) {
            let there: Vec<&str> = modalities.iter().map(|(name, _)| name.as_str()).collect();
            return Err(Error::config("weight", there.join(", "), name, "name a modality of the features"));
        }
        let default = |modality: &str| match modality {
            IMAGE if modalities.len() > 1 => ModalityWeight::Fixed(IMAGE_WEIGHT),
            BEHAVIOUR if modalities.len() > 1 => ModalityWeight::OfLength(BEHAVIOUR_WEIGHT),
            _ => ModalityWeight::Fixed(1.0),
        };
        let given = |name: &String| self.modality_weights.get(name).map(|&weight| ModalityWeight::Fixed(weight));
        let weight = |(name, _): &(String, usize)| given(name).unwrap_or(default(name));
        Ok(modalities.iter().map(weight).collect())
    }

    /// The fraction of the prediction from the other modalities that is added to each modality. Modalities with 0 predict
    /// nothing either. Behaviour has 0: it is not another view of how items look and read, and only it knows what users do.
    pub(super) fn agreements(&self, modalities: &[(String, usize)]) -> Vec<f64> {
        modalities.iter().map(|(name, _)| if name == BEHAVIOUR { 0.0 } else { self.agreement }).collect()
    }
}

/// [`ValidQuantizerConfig::new`] for LC-Rec's training, which holds no items out.
pub(super) fn valid_lc_rec(
    mut config: LcRecConfig,
    items: usize,
    modalities: &[(String, usize)],
) -> Result<LcRecConfig> {
    check_sizes(&config.codebook_sizes, items, items.min(config.sample_items))?;
    config.latent_dim = config.latent_dim.min(dimension(modalities));
    check_parameters(dimension(modalities), &config.hidden, config.latent_dim)?;
    Ok(config)
}

fn dimension(modalities: &[(String, usize)]) -> usize {
    modalities.iter().map(|(_, dim)| dim).sum()
}

/// Checks the size of the projection before its memory is allocated.
fn check_parameters(dim: usize, hidden: &[usize], latent_dim: usize) -> Result<()> {
    let widths: Vec<usize> = std::iter::once(dim).chain(hidden.iter().copied()).chain([latent_dim]).collect();
    let numbers = widths.windows(2).try_fold(0usize, |sum, pair| sum.checked_add(pair[0].checked_mul(pair[1])?));
    match numbers {
        Some(numbers) if numbers <= MAX_PARAMETERS => Ok(()),
        _ => {
            let expected = format!("layers with at most {MAX_PARAMETERS} weights in total");
            let got = format!("layers with the widths {widths:?}");
            Err(Error::config("hidden", expected, got, "use narrower or fewer layers"))
        }
    }
}

/// Checks that there are items for the codes. Returns the size of the largest codebook.
fn check_sizes(sizes: &[usize], items: usize, training: usize) -> Result<usize> {
    if items < 2 {
        let help = "give the whole catalog: IDs are learned from the differences between items";
        return Err(Error::data("training", "at least 2 items", items, help));
    }
    let largest = sizes.iter().copied().max().unwrap_or(0);
    if largest > training {
        return Err(Error::config(
            "codebook-size",
            format!("at most {training}, the number of training items"),
            largest,
            "choose fewer codes per level: a codebook cannot have more codes than there are items",
        ));
    }
    Ok(largest)
}

/// Checks that there are IDs for all items, if at most `sharing` items share an ID.
///
/// # Errors
/// [`Error::Config`].
pub(super) fn check_room(sizes: &[usize], items: usize, sharing: u16) -> Result<()> {
    let ids = sizes.iter().fold(1u64, |ids, &size| ids.saturating_mul(size as u64));
    if ids.saturating_mul(u64::from(sharing)) >= items as u64 {
        return Ok(());
    }
    let got = format!("{} levels of {sizes:?} codes, which give {ids} IDs", sizes.len());
    let (expected, help) = match sharing {
        1 => (format!("room for {items} items"), "add a level or choose more codes per level"),
        _ => (
            format!("room for {items} items, {sharing} per ID"),
            "add a level, choose more codes per level, or raise --capacity",
        ),
    };
    Err(Error::config("levels", expected, got, help))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modalities(names: &[&str]) -> Vec<(String, usize)> {
        names.iter().map(|&name| (name.into(), 32)).collect()
    }

    fn valid(items: usize, names: &[&str]) -> ValidQuantizerConfig {
        ValidQuantizerConfig::new(QuantizerConfig::default(), items, &modalities(names)).unwrap()
    }

    #[test]
    fn the_default_is_valid_and_depends_on_the_features() {
        let config = valid(10_000, &["text", "image"]);
        assert_eq!((config.held_out(), config.latent_dim, config.refine_iterations()), (500, 64, 15));
        assert_eq!(valid(300, &["text"]).held_out(), 0);
        let lc_rec = valid_lc_rec(LcRecConfig::default(), 300, &[("text".into(), 8)]).unwrap();
        assert_eq!(lc_rec.latent_dim, 8);
    }

    #[test]
    fn sizes_that_do_not_fit_the_items_are_refused() {
        let refused = |change: fn(&mut QuantizerConfig), items| {
            let mut config = QuantizerConfig::default();
            change(&mut config);
            ValidQuantizerConfig::new(config, items, &modalities(&["text"])).unwrap_err().to_string()
        };
        assert!(refused(|c| c.codebook_sizes = vec![20_000], 10_000).contains("more codes than there are items"));
        assert!(refused(|c| c.sample_items = 200, 10_000).contains("at most 200"));
        assert!(check_room(&[16, 16], 10_000, 1).unwrap_err().to_string().contains("room for 10000 items"));
        assert!(check_room(&[16, 16], 1_025, 4).unwrap_err().to_string().contains("room for 1025 items, 4 per ID"));
        assert!(check_room(&[16, 16], 1_024, 4).is_ok());
        assert!(refused(|_| (), 1).contains("at least 2 items"));
        let few = LcRecConfig { sample_items: 100, ..LcRecConfig::default() };
        assert!(valid_lc_rec(few, 10_000, &[]).unwrap_err().to_string().contains("at most 100"));
    }

    #[test]
    fn weights_apply_to_the_modalities_of_the_features() {
        let weights = |config: &ValidQuantizerConfig, names: &[&str]| config.weights_of(&modalities(names));
        let default = valid(1_000, &["text"]);
        let fixed = ModalityWeight::Fixed;
        assert_eq!(weights(&default, &["image", "text", "llama"]).unwrap(), [0.6, 1.0, 1.0].map(fixed));
        assert_eq!(weights(&default, &["behaviour", "text"]).unwrap(), [ModalityWeight::OfLength(2.0), fixed(1.0)]);
        assert_eq!(weights(&default, &["behaviour"]).unwrap(), [fixed(1.0)]);
        assert_eq!(weights(&default, &["image"]).unwrap(), [fixed(1.0)]);
        let config = QuantizerConfig { modality_weights: [("image".into(), 0.5)].into(), ..QuantizerConfig::default() };
        let given = ValidQuantizerConfig::new(config, 1_000, &modalities(&["text"])).unwrap();
        assert_eq!(weights(&given, &["text", "image"]).unwrap(), [1.0, 0.5].map(fixed));
        assert!(weights(&given, &["text"]).unwrap_err().to_string().contains("image"));
    }

    #[test]
    fn behaviour_disables_coherence_by_default() {
        assert!(valid(1_000, &["text", "image"]).coherence() > 0.0);
        assert_eq!(valid(1_000, &["text", "behaviour"]).coherence(), 0.0);
        let given = QuantizerConfig { coherence: Some(0.5), ..QuantizerConfig::default() };
        let config = ValidQuantizerConfig::new(given, 1_000, &modalities(&["behaviour"])).unwrap();
        assert_eq!(config.coherence(), 0.5);
        assert_eq!(config.agreements(&modalities(&["text", "behaviour"])), [0.8, 0.0]);
    }
}
