//! The picture encoder.

use std::path::{Path, PathBuf};

use ndarray::Array2;
use ort::session::Session;
use ort::value::Tensor;
use rayon::prelude::*;

use super::decode::{Fault, decode};
use super::preprocess::Preprocessor;
use super::required;
use super::runtime::{Output, Runtime, choose_output, run, shape};
use crate::catalog::ImageSource;
use crate::error::{Error, Result};

/// Pictures of a batch.
pub(super) const BATCH: usize = 32;

/// A vision model with its preprocessing.
#[derive(Debug)]
pub struct ImageEncoder {
    path: PathBuf,
    preprocessor: Preprocessor,
    session: Session,
    input: String,
    output: Output,
    /// Height and width of the network's input.
    size: (usize, usize),
}

impl ImageEncoder {
    /// Loads a folder with `model.onnx` or `onnx/model.onnx` and `preprocessor_config.json`.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::File`] name the file of the folder.
    pub fn load(folder: &Path, runtime: &Runtime) -> Result<Self> {
        let path = required(folder, &["model.onnx", "onnx/model.onnx"], "the graph of an image encoder")?;
        let preprocessor = Preprocessor::of_folder(folder)?;
        let session = runtime.session(&path)?;
        let four = session.inputs().iter().find(|input| shape(input).len() == 4);
        let Some(input) = four.filter(|_| session.inputs().len() == 1) else {
            let got = session.inputs().iter().map(|i| i.name().to_owned()).collect::<Vec<_>>().join(", ");
            let help = "export the vision model alone";
            return Err(Error::file(&path, "one input of 4 dimensions, the pictures", got, help));
        };
        let (name, wanted) = (input.name().to_owned(), shape(input));
        let declared = |at: usize| usize::try_from(wanted[at]).ok().filter(|&d| d > 0);
        let made = preprocessor.output_size().map(|(h, w)| (h as usize, w as usize));
        let Some(size) = made.or_else(|| Some((declared(2)?, declared(3)?))) else {
            let help = "export the model with a fixed size, or give preprocessor_config.json a crop_size";
            return Err(Error::file(&path, "an input of known height and width", format!("{wanted:?}"), help));
        };
        let fits =
            [3, size.0, size.1].iter().zip(1..).all(|(&d, at)| declared(at).is_none_or(|declared| declared == d));
        if !fits {
            let expected = format!("an input of (n, 3, {}, {}), as preprocessor_config.json makes", size.0, size.1);
            return Err(Error::file(&path, expected, format!("{wanted:?}"), "take both files from the same model"));
        }
        let output = choose_output(&session, &path, &["pooler_output", "image_embeds"])?;
        Ok(ImageEncoder { path, preprocessor, session, input: name, output, size })
    }

    /// Length of the vectors.
    pub fn dim(&self) -> usize {
        self.output.dim
    }

    /// Vectors `(pictures, dim)`. `items` names each picture's item in errors. Decoding runs on all cores.
    ///
    /// # Errors
    /// [`Error::Item`] for the first picture that cannot be read.
    pub fn encode(&mut self, pictures: &[ImageSource], items: &[String]) -> Result<Array2<f32>> {
        let (vectors, faults) = self.encode_readable(pictures)?;
        match faults.into_iter().zip(items).find_map(|(fault, item)| Some((fault?, item))) {
            None => Ok(vectors),
            Some((fault, item)) => Err(fault.of_item(item)),
        }
    }

    /// Vectors `(pictures, dim)`, zeros where a picture cannot be read, and why it cannot.
    pub(super) fn encode_readable(&mut self, pictures: &[ImageSource]) -> Result<(Array2<f32>, Vec<Option<Fault>>)> {
        let mut vectors = Array2::zeros((pictures.len(), self.dim()));
        let mut faults = Vec::with_capacity(pictures.len());
        for (from, pictures) in (0..).step_by(BATCH).zip(pictures.chunks(BATCH)) {
            let (inputs, bad) = self.pixels(pictures);
            let shape = [pictures.len(), 3, self.size.0, self.size.1];
            let tensor = Tensor::from_array((shape, inputs))
                .map_err(|e| Error::file(&self.path, "a batch of pictures", e, "please report this"))?;
            let inputs = vec![(self.input.clone(), tensor.into())];
            let (shape, values) = run(&mut self.session, &self.path, inputs, &self.output)?;
            let per_item = values.len() / pictures.len();
            if shape.first() != Some(&pictures.len()) || per_item % self.output.dim != 0 || per_item == 0 {
                let expected = format!("{} outputs of {} numbers", pictures.len(), self.output.dim);
                return Err(Error::file(
                    &self.path,
                    expected,
                    format!("{shape:?}"),
                    "check that it is an image encoder",
                ));
            }
            for (at, values) in values.chunks_exact(per_item).enumerate() {
                // A vision transformer without a pooled output: the first token is the class token.
                let first = ndarray::ArrayView1::from(&values[..self.output.dim]);
                if bad[at].is_none() {
                    vectors.row_mut(from + at).assign(&first);
                }
            }
            faults.extend(bad);
        }
        Ok((vectors, faults))
    }

    /// The network's input `(pictures, 3, height, width)`, row-major; zeros for pictures that cannot be read.
    fn pixels(&self, pictures: &[ImageSource]) -> (Vec<f32>, Vec<Option<Fault>>) {
        let (height, width) = self.size;
        let mut pixels = vec![0.0; pictures.len() * 3 * height * width];
        let faults = pixels
            .par_chunks_exact_mut(3 * height * width)
            .zip(pictures)
            .map(|(out, picture)| {
                let prepare = |picture| {
                    self.preprocessor
                        .apply(picture, out)
                        .map_err(|got| Fault { expected: "a usable picture".into(), got })
                };
                decode(picture).and_then(prepare).err()
            })
            .collect();
        (pixels, faults)
    }
}
