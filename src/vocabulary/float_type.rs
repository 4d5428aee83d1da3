//! The floating-point types of weights in files.

use half::{bf16, f16};
use ndarray::ArrayView2;

/// A floating-point type of stored weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FloatType {
    F32,
    F16,
    Bf16,
}

impl FloatType {
    /// Size of a number in bytes.
    pub(super) fn size(self) -> usize {
        if self == FloatType::F32 { 4 } else { 2 }
    }

    /// Appends the bytes of numbers to `out`.
    pub(super) fn write(self, values: impl IntoIterator<Item = f32>, out: &mut Vec<u8>) {
        for value in values {
            match self {
                FloatType::F32 => out.extend_from_slice(&value.to_le_bytes()),
                FloatType::F16 => out.extend_from_slice(&f16::from_f32(value).to_le_bytes()),
                FloatType::Bf16 => out.extend_from_slice(&bf16::from_f32(value).to_le_bytes()),
            }
        }
    }

    /// The number with these bytes.
    pub(super) fn read(self, bytes: &[u8]) -> f32 {
        match self {
            FloatType::F32 => f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
            FloatType::F16 => f16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
            FloatType::Bf16 => bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
        }
    }
}

/// The bytes of rows of numbers.
pub(super) fn bytes_of(rows: ArrayView2<f32>, float_type: FloatType) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rows.len() * float_type.size());
    float_type.write(rows.iter().copied(), &mut bytes);
    bytes
}
