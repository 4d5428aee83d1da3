//! Tables for tests, in every format and compression.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::ipc::writer::{FileWriter, StreamWriter};
use parquet::arrow::ArrowWriter;

/// Writes a Parquet file with a row group per batch.
pub(crate) fn parquet(path: &Path, batches: &[RecordBatch]) {
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batches[0].schema(), None).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
        writer.flush().unwrap();
    }
    writer.close().unwrap();
}

/// The files `NAME`, `NAME.gz` and `NAME.zst` in a folder.
pub(crate) fn compressed(folder: &Path, name: &str, content: &[u8]) -> Vec<PathBuf> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(content).unwrap();
    let files = [
        (name.to_owned(), content.to_vec()),
        (format!("{name}.gz"), gzip.finish().unwrap()),
        (format!("{name}.zst"), zstd::encode_all(content, 1).unwrap()),
    ];
    let write = |(name, content): (String, Vec<u8>)| {
        fs::write(folder.join(&name), content).unwrap();
        folder.join(name)
    };
    files.into_iter().map(write).collect()
}

/// Paths of one table in every binary format and compression, and as a folder and a pattern of several files.
pub(crate) fn binary_tables(folder: &Path, batches: &[RecordBatch]) -> Vec<PathBuf> {
    let (schema, temporary) = (batches[0].schema(), folder.join("temporary"));
    parquet(&temporary, batches);
    let mut paths = compressed(folder, "a.parquet", &fs::read(&temporary).unwrap());
    let mut writer = FileWriter::try_new(Vec::new(), &schema).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    paths.extend(compressed(folder, "a.arrow", &writer.into_inner().unwrap()));
    let mut writer = StreamWriter::try_new(Vec::new(), &schema).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    paths.extend(compressed(folder, "a.arrows", &writer.into_inner().unwrap()));
    fs::remove_file(temporary).unwrap();
    let parts = folder.join("parts");
    fs::create_dir(&parts).unwrap();
    for (number, batch) in batches.iter().enumerate() {
        parquet(&parts.join(format!("part-{number}.parquet")), std::slice::from_ref(batch));
    }
    for hidden in ["_SUCCESS", ".part-0.parquet.crc"] {
        fs::write(parts.join(hidden), "").unwrap();
    }
    paths.extend([parts.join("part-*.parquet"), parts]);
    paths
}
