//! The picture encoder.

use std::path::{Path, PathBuf};

use ndarray::Array2;
use ort::session::Session;
use ort::value::TensorElementType;
use rayon::prelude::*;

use super::decode::{Fault, decode};
use super::folder::{Kind, graph};
use super::preprocess::{Layout, Preprocessor};
use super::runtime::{Output, Runtime, choose_output, element, floats, run, shape};
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
    element: Option<TensorElementType>,
    layout: Layout,
    /// Pictures of a batch, where the graph fixes them.
    batch: Option<usize>,
    output: Output,
    /// Height and width of the network's input.
    size: (usize, usize),
}

impl ImageEncoder {
    /// Loads a folder with `preprocessor_config.json` and `model.onnx` or `onnx/model.onnx`, or the picture half of a
    /// model of two, `vision_model.onnx`. `onnx_file` names the graph where there are several.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::File`] name the file of the folder; [`Error::Config`] where it has several graphs
    /// and none is named.
    pub fn load(folder: &Path, onnx_file: Option<&str>, runtime: &Runtime) -> Result<Self> {
        let path = graph(folder, Kind::Image, onnx_file)?;
        let preprocessor = Preprocessor::of_folder(folder)?;
        let session = runtime.session(&path)?;
        let four = session.inputs().iter().find(|input| shape(input).len() == 4);
        let Some(input) = four.filter(|_| session.inputs().len() == 1) else {
            let got = session.inputs().iter().map(|i| i.name().to_owned()).collect::<Vec<_>>().join(", ");
            let help = "export the vision model alone";
            return Err(Error::file(&path, "one input of 4 dimensions, the pictures", got, help));
        };
        let (name, element, wanted) = (input.name().to_owned(), element(input), shape(input));
        let declared = |at: usize| usize::try_from(wanted[at]).ok().filter(|&d| d > 0);
        let layout = match (declared(1), declared(3)) {
            (Some(1..=2 | 4..) | None, Some(3)) => Layout::ChannelsLast,
            _ => Layout::ChannelsFirst,
        };
        let (channels, height, width) = if layout == Layout::ChannelsFirst { (1, 2, 3) } else { (3, 1, 2) };
        let made = preprocessor.output_size().map(|(h, w)| (h as usize, w as usize));
        let Some(size) = made.or_else(|| Some((declared(height)?, declared(width)?))) else {
            let help = "export the model with a fixed size, or give preprocessor_config.json a crop_size";
            return Err(Error::file(&path, "an input of known height and width", format!("{wanted:?}"), help));
        };
        let fits = [(channels, 3), (height, size.0), (width, size.1)];
        if !fits.iter().all(|&(at, made)| declared(at).is_none_or(|declared| declared == made)) {
            let expected = format!("an input of (n, 3, {}, {}), as preprocessor_config.json makes", size.0, size.1);
            return Err(Error::file(&path, expected, format!("{wanted:?}"), "take both files from the same model"));
        }
        // CLIP's vectors lie beside those of texts after their projection only.
        let output = choose_output(&session, &path, &["image_embeds", "pooler_output"])?;
        let batch = declared(0);
        Ok(ImageEncoder { path, preprocessor, session, input: name, element, layout, batch, output, size })
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
        let most = self.batch.unwrap_or(BATCH);
        for (from, pictures) in (0..).step_by(most).zip(pictures.chunks(most)) {
            let n = self.batch.unwrap_or(pictures.len());
            let (inputs, bad) = self.pixels(pictures, n);
            let (height, width) = self.size;
            let shape = match self.layout {
                Layout::ChannelsFirst => [n, 3, height, width],
                Layout::ChannelsLast => [n, height, width, 3],
            };
            let tensor = floats(&shape, inputs, self.element)
                .map_err(|e| Error::file(&self.path, "a batch of pictures", e, "please report this"))?;
            let inputs = vec![(self.input.clone(), tensor)];
            let (shape, values) = run(&mut self.session, &self.path, inputs, &self.output)?;
            let per_item = values.len() / n;
            if shape.first() != Some(&n) || !per_item.is_multiple_of(self.output.dim) || per_item == 0 {
                let expected = format!("{n} outputs of {} numbers", self.output.dim);
                return Err(Error::file(
                    &self.path,
                    expected,
                    format!("{shape:?}"),
                    "check that it is an image encoder",
                ));
            }
            for (at, values) in values.chunks_exact(per_item).take(pictures.len()).enumerate() {
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

    /// The network's input for `n` pictures, row-major; zeros for those that cannot be read or are not there.
    fn pixels(&self, pictures: &[ImageSource], n: usize) -> (Vec<f32>, Vec<Option<Fault>>) {
        let (height, width) = self.size;
        let mut pixels = vec![0.0; n * 3 * height * width];
        let faults = pixels
            .par_chunks_exact_mut(3 * height * width)
            .zip(pictures)
            .map(|(out, picture)| {
                let prepare = |picture| {
                    self.preprocessor
                        .apply(picture, self.layout, self.size, out)
                        .map_err(|got| Fault { expected: "a usable picture".into(), got })
                };
                decode(picture).and_then(prepare).err()
            })
            .collect();
        (pixels, faults)
    }
}
