//! Cells of image columns: paths, bytes, data URIs, and Hugging Face's struct of bytes and path.

use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Fields};
use arrow::error::ArrowError;
use base64::Engine;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::ImageSource;
use super::cells::{flattened, list_of};
use crate::error::shortened;

/// Accepted types of an image column, for error messages.
pub(super) const IMAGE_TYPES: &str =
    "strings (paths or data: URIs), binary (the bytes of image files), structs of bytes and path, or lists of these";

/// Accepted texts of an image column, for error messages.
pub(super) const IMAGE_TEXTS: &str = "the path of an image file, or a data: URI with its bytes";

/// The fields of Hugging Face's struct.
const BYTES: &str = "bytes";
const PATH: &str = "path";

pub(super) fn is_image(data_type: &DataType) -> bool {
    let is_string = |t: &DataType| matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    match data_type {
        DataType::Null => true,
        DataType::Dictionary(_, value) => is_image(value),
        DataType::Struct(fields) => {
            let of = |name: &str| field(fields, name).map(|at| fields[at].data_type());
            let bytes = of(BYTES).is_none_or(|t| is_binary(t) || *t == DataType::Null);
            let path = of(PATH).is_none_or(|t| is_string(t) || *t == DataType::Null);
            bytes && path && (of(BYTES).is_some() || of(PATH).is_some())
        }
        other => is_string(other) || is_binary(other) || list_of(other).is_some_and(is_image),
    }
}

fn is_binary(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => is_binary(value),
        DataType::FixedSizeBinary(_) => true,
        other => matches!(other, DataType::Binary | DataType::LargeBinary | DataType::BinaryView),
    }
}

fn field(fields: &Fields, name: &str) -> Option<usize> {
    fields.iter().position(|field| field.name() == name)
}

/// The images of each row. Null and an empty path mean no image. Relative paths start from `folder`.
pub(super) fn images(column: &ArrayRef, folder: &Path) -> Result<Vec<Vec<ImageSource>>, ArrowError> {
    flattened(column, &|values| sources(values, folder))
}

fn sources(values: &ArrayRef, folder: &Path) -> Result<Vec<Option<ImageSource>>, ArrowError> {
    if let DataType::Struct(fields) = values.data_type() {
        let both = values.as_struct();
        let of = |name: &str| match field(fields, name) {
            Some(at) => sources(both.column(at), folder),
            None => Ok(vec![None; both.len()]),
        };
        // If there are bytes, the path is only their name. Empty bytes are an image that cannot be read.
        let either = of(BYTES)?.into_iter().zip(of(PATH)?).enumerate();
        return Ok(either.map(|(row, (bytes, path))| chosen(bytes, path).filter(|_| both.is_valid(row))).collect());
    }
    if is_binary(values.data_type()) {
        let bytes = cast(values, &DataType::LargeBinary)?;
        return Ok(bytes.as_binary::<i64>().iter().map(|b| b.map(|b| ImageSource::Bytes(b.to_vec()))).collect());
    }
    let texts = cast(values, &DataType::LargeUtf8)?;
    Ok(texts.as_string::<i64>().iter().map(|text| text.and_then(|text| source(text.trim(), folder))).collect())
}

fn chosen(bytes: Option<ImageSource>, path: Option<ImageSource>) -> Option<ImageSource> {
    let is_empty = bytes.as_ref().is_some_and(|image| *image == ImageSource::Bytes(Vec::new()));
    if is_empty { path.or(bytes) } else { bytes.or(path) }
}

/// The image that a text names: a path, a `data:` URI, a `file:` URL, or an unsupported address.
fn source(text: &str, folder: &Path) -> Option<ImageSource> {
    if text.is_empty() {
        return None;
    }
    let after =
        |scheme: &str| text.get(..scheme.len()).filter(|s| s.eq_ignore_ascii_case(scheme)).map(|s| &text[s.len()..]);
    if let Some(data) = after("data:") {
        return Some(data_uri(data).map_or_else(
            || ImageSource::Unusable(format!("a data: URI that cannot be decoded ({})", shortened(text))),
            ImageSource::Bytes,
        ));
    }
    if let Some(path) = after("file://").map(|path| path.strip_prefix("localhost").unwrap_or(path)) {
        let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
        return Some(ImageSource::Path(folder.join(&*path)));
    }
    let scheme = text
        .split_once("://")
        .map(|(scheme, _)| scheme)
        .filter(|scheme| !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)));
    if scheme.is_some() || text.starts_with("//") {
        return Some(ImageSource::Unusable(format!(
            "the address {}; catalex does not download images: download them, and write their paths to the column",
            shortened(text)
        )));
    }
    Some(ImageSource::Path(folder.join(text)))
}

/// The bytes of a `data:` URI, after its scheme (RFC 2397).
fn data_uri(rest: &str) -> Option<Vec<u8>> {
    let (about, data) = rest.split_once(',')?;
    let bytes: Vec<u8> = percent_encoding::percent_decode_str(data).collect();
    let is_base64 = about.rsplit(';').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("base64"));
    if !is_base64 {
        return Some(bytes);
    }
    let bytes: Vec<u8> = bytes.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let decode = |alphabet: &Alphabet| {
        let config = GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true);
        GeneralPurpose::new(alphabet, config).decode(&bytes).ok()
    };
    decode(&STANDARD).or_else(|| decode(&URL_SAFE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BinaryArray, ListArray, StringArray, StructArray};
    use arrow::buffer::{NullBuffer, OffsetBuffer};
    use arrow::datatypes::Field;
    use std::sync::Arc;

    fn path(text: &str) -> ImageSource {
        ImageSource::Path(text.into())
    }

    fn bytes(bytes: &[u8]) -> ImageSource {
        ImageSource::Bytes(bytes.to_vec())
    }

    #[test]
    fn a_struct_gives_its_bytes_or_else_its_path() {
        let contents = BinaryArray::from_opt_vec(vec![Some(b"A"), None, Some(b"C"), None, Some(b"")]);
        let names = StringArray::from(vec![Some("a.png"), Some("b.png"), None, None, Some("e.png")]);
        let fields = Fields::from(vec![
            Field::new(PATH, DataType::Utf8, true),
            Field::new(BYTES, DataType::Binary, true),
            Field::new("width", DataType::Null, true),
        ]);
        let width = Arc::new(arrow::array::NullArray::new(5));
        let valid = Some(NullBuffer::from(vec![true, true, false, true, true]));
        let both: ArrayRef =
            Arc::new(StructArray::new(fields, vec![Arc::new(names), Arc::new(contents), width], valid));
        assert!(is_image(both.data_type()));
        let folder = Path::new("/shop");
        let expected = [vec![bytes(b"A")], vec![path("/shop/b.png")], vec![], vec![], vec![path("/shop/e.png")]];
        assert_eq!(images(&both, folder).unwrap(), expected);
        // Lists of structs, and a slice of a longer column.
        let item = Arc::new(Field::new_list_field(both.data_type().clone(), true));
        let lists: ArrayRef = Arc::new(ListArray::new(item, OffsetBuffer::from_lengths([2, 0, 3]), both.clone(), None));
        assert!(is_image(lists.data_type()));
        let expected = [vec![bytes(b"A"), path("/shop/b.png")], vec![], vec![path("/shop/e.png")]];
        assert_eq!(images(&lists, folder).unwrap(), expected);
        assert_eq!(images(&both.slice(1, 1), folder).unwrap(), [vec![path("/shop/b.png")]]);
        let other = Fields::from(vec![Field::new("url", DataType::Utf8, true)]);
        assert!(!is_image(&DataType::Struct(other)));
    }

    #[test]
    fn texts_are_paths_data_or_addresses() {
        let folder = Path::new("/shop");
        let of = |text: &str| source(text, folder);
        let sound = [
            ("a.png", path("/shop/a.png")),
            ("/x/a b.png", path("/x/a b.png")),
            ("a:b.png", path("/shop/a:b.png")),
            ("file:///x/a%20b.png", path("/x/a b.png")),
            ("data:image/png;base64,aGk+", bytes(b"hi>")),
            ("DATA:image/png;charset=x;Base64,aG\nk-", bytes(b"hi>")),
            ("data:;base64,aGk%3D", bytes(b"hi")),
            ("data:;base64,aGk", bytes(b"hi")),
            ("data:image/svg+xml,%3Csvg%3E a", bytes(b"<svg> a")),
        ];
        for (text, expected) in sound {
            assert_eq!(of(text), Some(expected), "{text}");
        }
        assert_eq!(of(""), None);
        for text in ["http://a.b/c.jpg", "HTTPS://a.b/c.jpg", "s3://bucket/c.jpg", "//cdn.shop/c.jpg"] {
            let Some(ImageSource::Unusable(reason)) = of(text) else { panic!("{text}") };
            assert!(reason.contains(text) && reason.contains("does not download"), "{reason}");
        }
        for text in [format!("data:image/png;base64,{}", "!".repeat(90_000)), "data:image/png".to_owned()] {
            let Some(ImageSource::Unusable(reason)) = of(&text) else { panic!("{text}") };
            assert!(reason.contains("cannot be decoded") && reason.len() < 250, "{reason}");
        }
    }
}
