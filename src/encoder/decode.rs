//! Decoding of images to upright RGB pixels on a white background.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Rgb, RgbImage};

use super::deep_pixels::{decode_deep, is_deep};
use super::image_fault::{ImageFault, fault};
use super::picture_file::{IN_FLIGHT, MemoryShare, PictureBytes};
use super::png_chunks::check_png_chunks;
use super::whole::check_jpeg_end;
use crate::catalog::ImageSource;
use crate::guard::guarded;

/// Maximum number of pixels in an image's header; larger images are refused before decoding.
const MAX_PIXELS: u64 = 100_000_000;
/// Maximum memory for decoding an image.
const MAX_MEMORY: u64 = 1 << 30;
/// Maximum memory in bytes for the metadata of an image, such as a compressed colour profile.
const MAX_METADATA: u64 = 64 << 20;
/// Memory for decoding, in multiples of the decoded image: the decoder's buffers, and a copy in another colour space.
const COPIES: u64 = 2;

/// Reads and decodes an image, and passes it to `work`. The memory of the image counts as used until `work` ends. A
/// panic in a decoder is a fault of the image.
pub(super) fn with_image<T>(
    source: &ImageSource,
    work: impl FnOnce(RgbImage) -> Result<T, ImageFault>,
) -> Result<T, ImageFault> {
    let PictureBytes { bytes, name, .. } = &PictureBytes::read(source)?;
    caught(name, || decode_bytes(bytes, name).and_then(|(picture, _share)| work(picture)))
}

#[cfg(test)]
pub(super) fn decode(source: &ImageSource) -> Result<RgbImage, ImageFault> {
    with_image(source, Ok)
}

/// Returns the result of `work`. A panic becomes a fault.
fn caught<T>(name: &str, work: impl FnOnce() -> Result<T, ImageFault>) -> Result<T, ImageFault> {
    guarded(work).unwrap_or_else(|panic| {
        let got = format!("an image on which the decoder failed ({})", panic.message());
        Err(fault(format!("an image that can be decoded in {name}"), got))
    })
}

fn decode_bytes(bytes: &[u8], name: &str) -> Result<(RgbImage, MemoryShare<'static>), ImageFault> {
    if bytes.is_empty() {
        return Err(fault(format!("an image in {name}"), "no bytes at all"));
    }
    let expected = || format!("a JPEG, PNG, WebP, GIF, BMP or TIFF image in {name}");
    let unreadable = |e: image::ImageError| fault(expected(), e);
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| unreadable(e.into()))?;
    let checked = match reader.format() {
        Some(ImageFormat::Jpeg) => check_jpeg_end(bytes),
        Some(ImageFormat::Png) => check_png_chunks(bytes),
        _ => Ok(()),
    };
    checked.map_err(|got| fault(expected(), got))?;
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MAX_METADATA);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(unreadable)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS || width == 0 || height == 0 {
        let expected = format!("an image of 1 to {MAX_PIXELS} pixels in {name}");
        return Err(fault(expected, format!("{width} x {height} declared")));
    }
    limits.max_alloc = Some(MAX_MEMORY);
    decoder.set_limits(limits).map_err(unreadable)?;
    // An invalid EXIF block is ignored.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let share = IN_FLIGHT.take(decoder.total_bytes().saturating_mul(COPIES));
    let mut picture = if is_deep(&decoder) {
        let rgb = decode_deep(decoder, on_white).map_err(unreadable)?;
        rgb.ok_or_else(|| fault(expected(), "more pixels than fit into memory"))?.into()
    } else {
        DynamicImage::from_decoder(decoder).map_err(unreadable)?
    };
    picture.apply_orientation(orientation);
    Ok((on_white(picture), share))
}

pub(super) fn on_white(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let picture = picture.into_rgba8();
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [r, g, b, a] = picture.get_pixel(x, y).0.map(u32::from);
        // Rounded division by 255, as in Pillow.
        let mix = |c: u32| ((c * a + 255 * (255 - a) + 127) / 255) as u8;
        Rgb([mix(r), mix(g), mix(b)])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgba, RgbaImage};

    fn encoded(picture: DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Vec::new();
        picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
        bytes
    }

    #[test]
    fn transparent_images_get_a_white_background() {
        let picture = RgbaImage::from_pixel(2, 1, Rgba([10, 20, 30, 0]));
        let (decoded, _) = decode_bytes(&encoded(picture.into(), ImageFormat::Png), "x").unwrap();
        assert_eq!(decoded.get_pixel(0, 0).0, [255, 255, 255]);
    }

    /// Every image format against Pillow's pixels: `scripts/make_picture_goldens.py`.
    #[test]
    fn every_format_is_decoded_as_by_pillow() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/encoder/formats");
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "rgb") {
                continue;
            }
            let expected = std::fs::read(format!("{}.rgb", path.display())).unwrap();
            let got =
                decode(&ImageSource::Path(path.clone())).unwrap_or_else(|f| panic!("{}: {}", path.display(), f.got));
            let upright = if path.ends_with("turned.jpg") { (32, 48) } else { (48, 32) };
            assert_eq!(got.dimensions(), upright, "{}", path.display());
            let off: Vec<u8> = got.as_raw().iter().zip(&expected).map(|(&a, &b)| a.abs_diff(b)).collect();
            let mean = off.iter().map(|&d| f64::from(d)).sum::<f64>() / off.len() as f64;
            // Decoders of lossy formats differ in rounding and chroma interpolation.
            let lossy = path.extension().is_some_and(|e| e == "jpg") || path.ends_with("lossy.webp");
            let (most, on_average) = if lossy { (48, 2.0) } else { (1, 0.5) };
            let worst = off.iter().copied().max().unwrap();
            assert!(worst <= most && mean <= on_average, "{}: {worst} at worst, {mean} on average", path.display());
            seen += 1;
        }
        assert_eq!(seen, 14);
    }

    #[test]
    fn a_decoder_that_panics_is_a_fault_of_the_image() {
        let fault = caught("a.png", || -> Result<(), ImageFault> { panic!("index {} out of range", 7) }).unwrap_err();
        assert!(fault.expected.contains("a.png") && fault.got.contains("index 7 out of range"), "{fault:?}");
    }

    #[test]
    fn invalid_images_are_refused() {
        let refused = |bytes: &[u8]| decode_bytes(bytes, "x").map(drop).unwrap_err();
        let png = encoded(DynamicImage::new_rgb8(40, 40), ImageFormat::Png);
        assert!(refused(&[]).got.contains("no bytes"));
        assert!(decode_bytes(b"GIF, they said", "x").is_err());
        assert!(decode_bytes(&png[..png.len() / 2], "x").is_err());
        // A decompression bomb: the header declares 60,000 x 60,000 pixels.
        let mut bomb = png.clone();
        bomb[16..24].copy_from_slice(&[0, 0, 0xEA, 0x60, 0, 0, 0xEA, 0x60]);
        let got = refused(&bomb).got;
        assert!(got.contains("60000 x 60000") || got.to_lowercase().contains("crc"), "{got}");
    }
}
