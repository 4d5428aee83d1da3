//! The image encoder.

use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayView1, s};
use ort::session::Session;
use ort::value::TensorElementType;
use rayon::prelude::*;

use super::decode::with_image;
use super::folder::{EncoderKind, graph};
use super::image_fault::ImageFault;
use super::journal::{BatchJournal, EncodedBatch};
use super::preprocess::{PixelLayout, Preprocessor};
use super::runtime::{NetworkOutput, Runtime, choose_output, element, floats, run, shape};
use super::sessions::Sessions;
use crate::catalog::ImageSource;
use crate::error::{Error, Result};

/// Images per batch.
const BATCH: usize = 32;

/// A vision model with its preprocessing.
#[derive(Debug)]
pub struct ImageEncoder {
    loader: ImageLoader,
    network: ImageNetwork,
    sessions: Sessions,
}

/// Decodes and preprocesses images for the network.
#[derive(Debug)]
struct ImageLoader {
    preprocessor: Preprocessor,
    layout: PixelLayout,
    /// Height and width of the network's input.
    size: (usize, usize),
    /// Batch size, where the graph fixes it.
    batch: Option<usize>,
}

#[derive(Debug)]
struct ImageNetwork {
    path: PathBuf,
    input: String,
    element: Option<TensorElementType>,
    output: NetworkOutput,
}

/// A batch of preprocessed images.
struct PixelBatch {
    shape: [usize; 4],
    values: Vec<f32>,
    /// Per image: why it cannot be read; its values are then zeros.
    faults: Vec<Option<ImageFault>>,
}

impl ImageEncoder {
    /// Loads a folder with `preprocessor_config.json` and `model.onnx` or `onnx/model.onnx`, or the vision tower of a
    /// two-tower model, `vision_model.onnx`. `onnx_file` selects one of several graphs.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::File`] for a file of the folder; [`Error::Config`] where it has several graphs and
    /// none is selected.
    pub fn load(folder: &Path, onnx_file: Option<&str>, runtime: &Runtime) -> Result<Self> {
        let path = graph(folder, EncoderKind::Image, onnx_file)?;
        let preprocessor = Preprocessor::of_folder(folder)?;
        let sessions = Sessions::load(runtime, &path)?;
        let session = sessions.first();
        let four = session.inputs().iter().find(|input| shape(input).len() == 4);
        let Some(input) = four.filter(|_| session.inputs().len() == 1) else {
            let got = session.inputs().iter().map(|i| i.name().to_owned()).collect::<Vec<_>>().join(", ");
            let help = "export the vision model only";
            return Err(Error::file(&path, "one input of 4 dimensions, the images", got, help));
        };
        let (name, element, wanted) = (input.name().to_owned(), element(input), shape(input));
        let declared = |at: usize| usize::try_from(wanted[at]).ok().filter(|&d| d > 0);
        let layout = match (declared(1), declared(3)) {
            (Some(1..=2 | 4..) | None, Some(3)) => PixelLayout::ChannelsLast,
            _ => PixelLayout::ChannelsFirst,
        };
        let (channels, height, width) = if layout == PixelLayout::ChannelsFirst { (1, 2, 3) } else { (3, 1, 2) };
        let made = preprocessor.output_size().map(|(h, w)| (h as usize, w as usize));
        let Some(size) = made.or_else(|| Some((declared(height)?, declared(width)?))) else {
            let help = "export the model with a fixed size, or give preprocessor_config.json a crop_size";
            return Err(Error::file(&path, "an input of known height and width", format!("{wanted:?}"), help));
        };
        let fits = [(channels, 3), (height, size.0), (width, size.1)];
        if !fits.iter().all(|&(at, made)| declared(at).is_none_or(|declared| declared == made)) {
            let expected = format!("an input of (n, 3, {}, {}), as in preprocessor_config.json", size.0, size.1);
            return Err(Error::file(&path, expected, format!("{wanted:?}"), "use both files of the same model"));
        }
        // CLIP's image and text vectors are comparable only after the projection.
        let output = choose_output(session, &path, &["image_embeds", "pooler_output"])?;
        let batch = declared(0);
        let loader = ImageLoader { preprocessor, layout, size, batch };
        let network = ImageNetwork { path, input: name, element, output };
        Ok(ImageEncoder { loader, network, sessions })
    }

    /// Length of the vectors.
    pub fn dim(&self) -> usize {
        self.network.output.dim
    }

    /// Encodes images into vectors `(images, dim)`. `items` names each image's item in errors. Decoding uses all cores.
    ///
    /// # Errors
    /// [`Error::Item`] for the first image that cannot be read.
    pub fn encode(&mut self, pictures: &[ImageSource], items: &[String]) -> Result<Array2<f32>> {
        let mut vectors = Array2::zeros((pictures.len(), self.dim()));
        self.encode_readable(pictures, None, |first, found, faults| {
            match faults.into_iter().zip(&items[first..]).find_map(|(fault, item)| Some((fault?, item))) {
                Some((fault, item)) => return Err(fault.of_item(item)),
                None => vectors.slice_mut(s![first..first + found.nrows(), ..]).assign(&found),
            }
            Ok(())
        })?;
        Ok(vectors)
    }

    /// Encodes images batch by batch, while the next batch is decoded. `each` gets the index of a batch's first image,
    /// its vectors `(images, dim)`, zeros for unreadable images, and the faults. Batches are read from a journal and
    /// stored in it.
    pub(super) fn encode_readable(
        &mut self,
        pictures: &[ImageSource],
        mut journal: Option<&mut BatchJournal>,
        mut each: impl FnMut(usize, Array2<f32>, Vec<Option<ImageFault>>) -> Result<()> + Send,
    ) -> Result<()> {
        let ImageEncoder { loader, network, sessions } = self;
        let mut first = 0;
        while let Some(EncodedBatch { faults, vectors }) = journal.as_mut().and_then(|journal| journal.next()) {
            let (seen, dim) = (faults.len(), network.output.dim);
            let vectors = Array2::from_shape_vec((seen, dim), vectors).map_err(|e| {
                Error::mismatch("a stored batch of images", "one vector per image", e, "start again with --force")
            })?;
            each(first, vectors, faults)?;
            first += seen;
        }
        let left = pictures.get(first..).unwrap_or_default();
        let batches: Vec<&[ImageSource]> = left.chunks(loader.batch.unwrap_or(BATCH)).collect();
        let compute = |session: &mut Session, batch| network.vectors(session, batch);
        sessions.run(
            &batches,
            |batch| loader.load(batch),
            compute,
            |_, (vectors, faults)| {
                let seen = faults.len();
                if let Some(journal) = &mut journal {
                    journal.keep(&faults, &vectors.iter().copied().collect::<Vec<f32>>())?;
                }
                each(first, vectors, faults)?;
                first += seen;
                Ok(())
            },
        )
    }
}

impl ImageLoader {
    /// The network's input, row-major; zeros for unreadable images and for the rest of a fixed batch size.
    fn load(&self, pictures: &[ImageSource]) -> PixelBatch {
        let (n, (height, width)) = (self.batch.unwrap_or(pictures.len()), self.size);
        let mut values = vec![0.0; n * 3 * height * width];
        let faults = values
            .par_chunks_exact_mut(3 * height * width)
            .zip(pictures)
            .map(|(out, picture)| {
                let prepare = |picture| {
                    self.preprocessor
                        .apply(picture, self.layout, self.size, out)
                        .map_err(|got| ImageFault { expected: "a usable image".into(), got })
                };
                with_image(picture, prepare).err()
            })
            .collect();
        let shape = match self.layout {
            PixelLayout::ChannelsFirst => [n, 3, height, width],
            PixelLayout::ChannelsLast => [n, height, width, 3],
        };
        PixelBatch { shape, values, faults }
    }
}

impl ImageNetwork {
    /// Vectors `(images, dim)` of a batch, and its faults; zeros for images with a fault.
    fn vectors(&self, session: &mut Session, batch: PixelBatch) -> Result<(Array2<f32>, Vec<Option<ImageFault>>)> {
        let PixelBatch { shape, values, faults } = batch;
        let (n, dim) = (shape[0], self.output.dim);
        let tensor = floats(&shape, values, self.element)
            .map_err(|e| Error::file(&self.path, "a batch of images", e, "please report this"))?;
        let inputs = vec![(self.input.clone(), tensor)];
        let (shape, values) = run(session, &self.path, inputs, &self.output)?;
        let per_item = values.len() / n;
        if shape.first() != Some(&n) || !per_item.is_multiple_of(dim) || per_item == 0 {
            let expected = format!("{n} outputs of {dim} numbers");
            return Err(Error::file(&self.path, expected, format!("{shape:?}"), "check that it is an image encoder"));
        }
        let mut vectors = Array2::zeros((faults.len(), dim));
        for ((mut vector, values), fault) in vectors.rows_mut().into_iter().zip(values.chunks(per_item)).zip(&faults) {
            if fault.is_none() {
                // Without a pooled output, the first token of a vision transformer is the class token.
                vector.assign(&ArrayView1::from(&values[..dim]));
            }
        }
        Ok((vectors, faults))
    }
}
