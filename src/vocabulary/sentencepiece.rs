//! Appending of pieces to a SentencePiece model file.
//!
//! The file is a protobuf message whose field 1 is the list of pieces; the index of a piece is its id. In protobuf, list
//! elements may occur anywhere in a message. Pieces that are appended to the file are therefore the last of the list, and
//! all existing bytes stay unchanged, including unknown fields.

use std::path::{Path, PathBuf};

use super::folder::find_file;
use crate::artifact::read_regular;
use crate::error::{Error, Result};

/// File names in Hugging Face folders.
pub(super) const NAMES: [&str; 4] = ["tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "spm.model"];

/// The kind of a piece, with the numbers of SentencePiece's definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PieceKind {
    Normal = 1,
    Unknown = 2,
    /// Never matches text, and is not shown when decoded.
    Control = 3,
    /// Matches text verbatim, before all other pieces.
    UserDefined = 4,
    /// Never matches text.
    Unused = 5,
    Byte = 6,
}

/// A piece of the model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SentencePiece {
    pub(super) text: String,
    pub(super) kind: PieceKind,
}

/// A model file in memory.
pub(super) struct SentencePieceModel {
    pub(super) path: PathBuf,
    pub(super) pieces: Vec<SentencePiece>,
    bytes: Vec<u8>,
}

impl SentencePieceModel {
    /// The model of a Hugging Face folder, if it has one.
    pub(super) fn find(folder: &Path) -> Result<Option<SentencePieceModel>> {
        for name in NAMES {
            if let Some(path) = find_file(folder, name)? {
                return SentencePieceModel::read(&path).map(Some);
            }
        }
        Ok(None)
    }

    pub(super) fn read(path: &Path) -> Result<SentencePieceModel> {
        let bytes = read_regular(path).map_err(|e| Error::io("read", path, e))?;
        let pieces = pieces(&bytes).ok_or_else(|| {
            let help = "copy the tokenizer's file again";
            Error::file(path, "a SentencePiece model", "other or truncated bytes", help)
        })?;
        Ok(SentencePieceModel { path: path.to_path_buf(), pieces, bytes })
    }

    /// The file's bytes with pieces appended.
    pub(super) fn with(&self, new: impl Iterator<Item = SentencePiece>) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for piece in new {
            let mut message = vec![1 << 3 | 2];
            varint(&mut message, piece.text.len() as u64);
            message.extend(piece.text.as_bytes());
            // Pieces that were not learned have score zero.
            message.extend([2 << 3 | 5, 0, 0, 0, 0]);
            message.extend([3 << 3, piece.kind as u8]);
            bytes.push(1 << 3 | 2);
            varint(&mut bytes, message.len() as u64);
            bytes.extend(message);
        }
        bytes
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The pieces of a model. `None` if the bytes are not a model.
fn pieces(bytes: &[u8]) -> Option<Vec<SentencePiece>> {
    let mut pieces = Vec::new();
    let mut fields = ProtobufFields(bytes);
    while !fields.0.is_empty() {
        if let (1, ProtobufField::Bytes(message)) = fields.next()? {
            pieces.push(piece(message)?);
        }
    }
    // Every model has a piece for unknown text.
    pieces.iter().any(|piece| piece.kind == PieceKind::Unknown).then_some(pieces)
}

fn piece(message: &[u8]) -> Option<SentencePiece> {
    let (mut text, mut kind) = (None, PieceKind::Normal);
    let mut fields = ProtobufFields(message);
    while !fields.0.is_empty() {
        match fields.next()? {
            (1, ProtobufField::Bytes(bytes)) => text = Some(std::str::from_utf8(bytes).ok()?.to_owned()),
            (3, ProtobufField::Number(number)) => {
                kind = match number {
                    1 => PieceKind::Normal,
                    2 => PieceKind::Unknown,
                    3 => PieceKind::Control,
                    4 => PieceKind::UserDefined,
                    5 => PieceKind::Unused,
                    6 => PieceKind::Byte,
                    _ => return None,
                }
            }
            _ => {}
        }
    }
    text.map(|text| SentencePiece { text, kind })
}

enum ProtobufField<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Iterates over the fields of a message; `next` is `None` if the bytes are not a message.
struct ProtobufFields<'a>(&'a [u8]);

impl<'a> ProtobufFields<'a> {
    fn next(&mut self) -> Option<(u64, ProtobufField<'a>)> {
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => ProtobufField::Number(self.varint()?),
            1 => ProtobufField::Bytes(self.take(8)?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                ProtobufField::Bytes(self.take(length)?)
            }
            5 => ProtobufField::Bytes(self.take(4)?),
            _ => return None,
        };
        (tag >> 3 != 0).then_some((tag >> 3, field))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

/// A small model that starts like Llama's, followed by a field 2 and an unknown field.
#[cfg(test)]
pub(super) fn small_model(words: &[&str]) -> Vec<u8> {
    let empty = SentencePieceModel { path: PathBuf::new(), pieces: vec![], bytes: vec![] };
    let meta = [("<unk>", PieceKind::Unknown), ("<s>", PieceKind::Control), ("</s>", PieceKind::Control)];
    let words = words.iter().map(|word| (*word, PieceKind::Normal));
    let mut bytes =
        empty.with(meta.into_iter().chain(words).map(|(text, kind)| SentencePiece { text: text.into(), kind }));
    bytes.extend([2 << 3 | 2, 2, 8, 1, 0xf2, 0x3f, 3, b'n', b'e', b'w']);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pieces_are_appended_and_nothing_else_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spiece.model");
        let bytes = small_model(&["▁a", "b"]);
        std::fs::write(&path, &bytes).unwrap();
        let model = SentencePieceModel::find(folder.path()).unwrap().unwrap();
        assert_eq!(model.pieces.len(), 5);
        assert_eq!(model.pieces[3], SentencePiece { text: "▁a".into(), kind: PieceKind::Normal });
        let new = SentencePiece { text: "<é_1>".repeat(40), kind: PieceKind::UserDefined };
        let longer = model.with([new.clone()].into_iter());
        assert!(longer.starts_with(&bytes));
        assert_eq!(pieces(&longer).unwrap(), [&model.pieces[..], &[new]].concat());
    }

    #[test]
    fn truncated_and_other_bytes_are_not_a_model() {
        let bytes = small_model(&["▁a"]);
        assert!(pieces(&bytes[..bytes.len() - 1]).is_none());
        assert!(pieces(b"{\"model\": 3}").is_none());
        assert!(pieces(b"").is_none());
    }

    proptest! {
        #[test]
        fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = pieces(&bytes);
        }
    }
}
