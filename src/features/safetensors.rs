//! Safetensors files with one matrix. Row numbers are the item ids, as in `.npy`.

use std::io::Read;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::npy::MatrixFile;
use crate::artifact::open_regular;
use crate::error::{Error, Result};

const WANTED: &str = "a safetensors file with one matrix of F16, BF16, F32 or F64";
/// Size in bytes of the field that holds the header's length.
const LENGTH: usize = 8;
/// Maximum length of a header; a file of vectors has a short one.
const LONGEST: u64 = 1 << 24;

/// Whether the file has the extension of safetensors.
pub(super) fn is_safetensors(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "safetensors")
}

/// Reads the header only.
pub(super) fn open(path: &Path) -> Result<MatrixFile> {
    let refuse = |got: String, help: &str| Error::file(path, WANTED, got, help);
    let failed = |e| Error::io("read", path, e);
    let damaged = |reason: String| refuse(format!("a damaged file ({reason})"), "write it again");
    let mut file = open_regular(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut head = [0; LENGTH];
    file.read_exact(&mut head).map_err(|_| damaged("it ends in its header".into()))?;
    let header = u64::from_le_bytes(head);
    if header > LONGEST.min(length) {
        return Err(damaged(format!("a header of {header} bytes")));
    }
    let mut bytes = vec![0; header as usize];
    file.read_exact(&mut bytes).map_err(|_| damaged("it ends in its header".into()))?;
    let metadata: Metadata = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
    let mut matrices: Vec<_> = metadata.tensors().into_iter().filter(|(_, info)| info.shape.len() == 2).collect();
    matrices.sort_by_key(|(name, _)| name.clone());
    let [(name, info)] = &matrices[..] else {
        let names: Vec<&str> = matrices.iter().map(|(name, _)| name.as_str()).collect();
        let help = "save the matrix alone, with safetensors.numpy.save_file";
        return Err(refuse(format!("{} matrices {}", names.len(), names.join(", ")), help));
    };
    let width = match info.dtype {
        Dtype::F16 | Dtype::BF16 => 2,
        Dtype::F32 => 4,
        Dtype::F64 => 8,
        other => return Err(refuse(format!("{name} of {other:?}"), "save it as float32")),
    };
    let (rows, columns) = (info.shape[0], info.shape[1]);
    if rows == 0 || columns == 0 {
        return Err(refuse(format!("an empty matrix, {rows} x {columns}"), "save one row per item"));
    }
    let (begin, end) = info.data_offsets;
    let bytes = rows.checked_mul(columns).and_then(|numbers| numbers.checked_mul(width));
    if bytes.is_none() || end.checked_sub(begin) != bytes {
        return Err(damaged(format!("{rows} x {columns} numbers in the bytes {begin} to {end}")));
    }
    let data = LENGTH as u64 + header;
    if (end as u64).checked_add(data).is_none_or(|end| length < end) {
        return Err(damaged(format!("it has fewer than {rows} x {columns} numbers")));
    }
    Ok(MatrixFile {
        rows,
        columns,
        by_column: false,
        width,
        brain: info.dtype == Dtype::BF16,
        big_endian: false,
        start: data + begin as u64,
    })
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};
    use safetensors::tensor::TensorView;

    use super::*;
    use crate::features::FeatureFile;

    fn file(tensors: Vec<(&str, Dtype, Vec<usize>, Vec<u8>)>) -> tempfile::NamedTempFile {
        let out = tempfile::Builder::new().suffix(".safetensors").tempfile().unwrap();
        let views: Vec<_> = tensors
            .iter()
            .map(|(name, dtype, shape, data)| (*name, TensorView::new(*dtype, shape.clone(), data).unwrap()))
            .collect();
        std::fs::write(out.path(), safetensors::serialize(views, None).unwrap()).unwrap();
        out
    }

    #[test]
    fn all_float_types_are_read() {
        let values = [1.5f32, -2.0, 0.25, 8.0];
        let bytes = |f: fn(f32) -> Vec<u8>| values.into_iter().flat_map(f).collect::<Vec<u8>>();
        for (dtype, data) in [
            (Dtype::F32, bytes(|v| v.to_le_bytes().to_vec())),
            (Dtype::F64, bytes(|v| f64::from(v).to_le_bytes().to_vec())),
            (Dtype::F16, bytes(|v| f16::from_f32(v).to_le_bytes().to_vec())),
            (Dtype::BF16, bytes(|v| bf16::from_f32(v).to_le_bytes().to_vec())),
        ] {
            let bias = ("bias", Dtype::F32, vec![1], vec![0; 4]);
            let file = file(vec![bias, ("x", dtype, vec![2, 2], data)]);
            let read = FeatureFile::open(file.path()).unwrap().read().unwrap();
            assert_eq!(read.concatenated(), ndarray::array![[1.5, -2.0], [0.25, 8.0]], "{dtype:?}");
        }
    }

    #[test]
    fn other_files_are_refused() {
        let says = |f: &tempfile::NamedTempFile| FeatureFile::open(f.path()).unwrap_err().to_string();
        let one = || ("x", Dtype::F32, vec![1, 1], vec![0; 4]);
        assert!(says(&file(vec![one(), ("y", Dtype::F32, vec![1, 1], vec![0; 4])])).contains("2 matrices x, y"));
        assert!(says(&file(vec![("x", Dtype::I32, vec![1, 1], vec![0; 4])])).contains("I32"));
        assert!(says(&file(vec![("x", Dtype::F32, vec![0, 3], vec![])])).contains("empty"));
        let hostile = |shape: &str, offsets: &str| {
            let header = format!("{{\"x\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":{offsets}}}}}");
            let out = tempfile::Builder::new().suffix(".safetensors").tempfile().unwrap();
            std::fs::write(out.path(), [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 8]].concat())
                .unwrap();
            says(&out)
        };
        for (shape, offsets) in [
            ("[1099511627776,1048576]", "[0,8]"),
            ("[9223372036854775807,4]", "[0,8]"),
            ("[2,1]", "[8,0]"),
            ("[2,1]", "[18446744073709551607,18446744073709551615]"),
        ] {
            assert!(hostile(shape, offsets).contains("damaged"), "{shape} {offsets}");
        }
        let cut = file(vec![one()]);
        let whole = std::fs::read(cut.path()).unwrap();
        for length in [0, 4, 20, whole.len() - 1] {
            std::fs::write(cut.path(), &whole[..length]).unwrap();
            let said = says(&cut);
            assert!(said.contains("damaged"), "{length}: {said}");
        }
    }
}
