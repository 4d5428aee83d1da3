//! Reports items that are far from the training items.

use super::spec::FarSettings;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::semantic_id::{FarItems, TokenizedItems};
use crate::tokenizer::Tokenizer;

/// Counts far items, and warns of an unusual number. `None` if the model has no residual errors of held-out items.
///
/// # Errors
/// [`Error::Data`] for a larger share than `max-far`; [`Error::Config`] for `max-far` with a model without residual
/// errors of held-out items.
pub(super) fn report_far(
    settings: &FarSettings,
    tokenized: &TokenizedItems,
    model: &Tokenizer,
    progress: &dyn Progress,
) -> Result<Option<FarItems>> {
    let training = model.config().training.as_ref();
    let reference = training.and_then(|training| training.residual_errors.as_ref());
    let Some(far) = FarItems::of(tokenized, reference) else {
        let reason = match (training, reference) {
            (Some(_), None) => "the model is of an older version, which did not record residual errors",
            (None, _) => "the model has no record of its training",
            _ => "no items were held out of the training of this model",
        };
        if settings.max_far.is_some() {
            let expected = "a model with the residual errors of held-out items";
            return Err(Error::config("max-far", expected, reason, "omit it, or train a new model on more items"));
        }
        if training.is_some() && reference.is_none() {
            progress.warn(&format!("cannot check whether items are far from the training items: {reason}"));
        }
        return Ok(None);
    };
    if let Some(most) = settings.max_far {
        far.check(most)?;
    }
    if let Some(warning) = far.warning() {
        progress.warn(&warning);
    }
    Ok(Some(far))
}
