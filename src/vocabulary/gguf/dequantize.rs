//! Dequantization of ggml's block formats. The layouts follow ggml's `ggml-quants.c`.

use half::{bf16, f16};

/// A tensor type that can be dequantized.
#[derive(Debug, Clone, Copy)]
pub(super) struct TensorFormat {
    pub(super) kind: u32,
    /// Numbers per block.
    pub(super) block: usize,
    /// Bytes per block.
    pub(super) bytes: usize,
    read: fn(&[u8], &mut [f32]),
}

pub(super) const F32: u32 = 0;
pub(super) const F16: u32 = 1;
pub(super) const BF16: u32 = 30;

const FORMATS: [TensorFormat; 13] = [
    TensorFormat {
        kind: F32,
        block: 1,
        bytes: 4,
        read: |b, out| out[0] = f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
    },
    TensorFormat { kind: F16, block: 1, bytes: 2, read: |b, out| out[0] = float16(b) },
    TensorFormat { kind: 2, block: 32, bytes: 18, read: q4_0 },
    TensorFormat { kind: 3, block: 32, bytes: 20, read: q4_1 },
    TensorFormat { kind: 6, block: 32, bytes: 22, read: q5_0 },
    TensorFormat { kind: 7, block: 32, bytes: 24, read: q5_1 },
    TensorFormat { kind: 8, block: 32, bytes: 34, read: q8_0 },
    TensorFormat { kind: 10, block: 256, bytes: 84, read: q2_k },
    TensorFormat { kind: 11, block: 256, bytes: 110, read: q3_k },
    TensorFormat { kind: 12, block: 256, bytes: 144, read: q4_k },
    TensorFormat { kind: 13, block: 256, bytes: 176, read: q5_k },
    TensorFormat { kind: 14, block: 256, bytes: 210, read: q6_k },
    TensorFormat { kind: BF16, block: 1, bytes: 2, read: |b, out| out[0] = bf16::from_le_bytes([b[0], b[1]]).to_f32() },
];

/// Names of the supported types, for messages.
pub(super) const READABLE: &str = "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 or Q2_K to Q6_K";

/// The format of a tensor type.
pub(super) fn format(kind: u32) -> Option<TensorFormat> {
    FORMATS.into_iter().find(|format| format.kind == kind)
}

impl TensorFormat {
    /// Size in bytes of this many numbers; `None` where they do not fill whole blocks.
    pub(super) fn length(&self, numbers: usize) -> Option<usize> {
        if numbers.is_multiple_of(self.block) { (numbers / self.block).checked_mul(self.bytes) } else { None }
    }

    /// The numbers of whole blocks.
    pub(super) fn read(&self, bytes: &[u8]) -> Vec<f32> {
        let mut out = vec![0.0; bytes.len() / self.bytes * self.block];
        bytes.chunks_exact(self.bytes).zip(out.chunks_exact_mut(self.block)).for_each(|(b, out)| (self.read)(b, out));
        out
    }
}

fn float16(bytes: &[u8]) -> f32 {
    f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()
}

fn q8_0(b: &[u8], out: &mut [f32]) {
    let scale = float16(b);
    out.iter_mut().zip(&b[2..]).for_each(|(out, &q)| *out = scale * f32::from(q as i8));
}

/// 4-bit numbers: the low halves of the bytes are the first 16 numbers, the high halves the last 16.
fn halves(quants: &[u8], out: &mut [f32], number: impl Fn(usize, u8) -> f32) {
    for (i, &q) in quants.iter().enumerate() {
        out[i] = number(i, q & 15);
        out[i + 16] = number(i + 16, q >> 4);
    }
}

fn q4_0(b: &[u8], out: &mut [f32]) {
    let scale = float16(b);
    halves(&b[2..], out, |_, q| scale * (f32::from(q) - 8.0));
}

fn q4_1(b: &[u8], out: &mut [f32]) {
    let (scale, least) = (float16(b), float16(&b[2..]));
    halves(&b[4..], out, |_, q| scale * f32::from(q) + least);
}

/// The fifth bit of a number.
fn fifth(bits: &[u8], i: usize) -> u8 {
    (bits[i / 8] >> (i % 8) & 1) << 4
}

fn q5_0(b: &[u8], out: &mut [f32]) {
    let scale = float16(b);
    halves(&b[6..], out, |i, q| scale * (f32::from(q | fifth(&b[2..6], i)) - 16.0));
}

fn q5_1(b: &[u8], out: &mut [f32]) {
    let (scale, least) = (float16(b), float16(&b[2..]));
    halves(&b[8..], out, |i, q| scale * f32::from(q | fifth(&b[4..8], i)) + least);
}

fn q2_k(b: &[u8], out: &mut [f32]) {
    let (scales, quants, scale, least) = (&b[..16], &b[16..80], float16(&b[80..]), float16(&b[82..]));
    for (i, out) in out.iter_mut().enumerate() {
        let (half, shift, within) = (i / 128, i % 128 / 32 * 2, i % 32);
        let part = scales[i / 16];
        let q = quants[half * 32 + within] >> shift & 3;
        *out = scale * f32::from(part & 15) * f32::from(q) - least * f32::from(part >> 4);
    }
}

fn q3_k(b: &[u8], out: &mut [f32]) {
    let (high, quants, packed, scale) = (&b[..32], &b[32..96], &b[96..108], float16(&b[108..]));
    for (i, out) in out.iter_mut().enumerate() {
        let (half, shift, within) = (i / 128, i % 128 / 32 * 2, i % 32);
        // Sixteen 6-bit scales: the low four bits are in the first eight bytes, the high two in the last four.
        let part = i / 16;
        let low = packed[part % 8] >> (part / 8 * 4) & 15;
        let top = packed[8 + part % 4] >> (part / 4 * 2) & 3;
        let part = f32::from(low | top << 4) - 32.0;
        let q = f32::from(quants[half * 32 + within] >> shift & 3);
        let above = high[within] >> (half * 4 + shift / 2) & 1;
        *out = scale * part * (q - if above == 1 { 0.0 } else { 4.0 });
    }
}

/// Scale and minimum of one of eight parts, six bits each.
fn scale_and_least(packed: &[u8], part: usize) -> (f32, f32) {
    let (scale, least) = if part < 4 {
        (packed[part] & 63, packed[part + 4] & 63)
    } else {
        (packed[part + 4] & 15 | packed[part - 4] >> 6 << 4, packed[part + 4] >> 4 | packed[part] >> 6 << 4)
    };
    (f32::from(scale), f32::from(least))
}

fn q4_k(b: &[u8], out: &mut [f32]) {
    let (scale, least, packed, quants) = (float16(b), float16(&b[2..]), &b[4..16], &b[16..]);
    for (i, out) in out.iter_mut().enumerate() {
        let (part_scale, part_least) = scale_and_least(packed, i / 32);
        let q = quants[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15;
        *out = scale * part_scale * f32::from(q) - least * part_least;
    }
}

fn q5_k(b: &[u8], out: &mut [f32]) {
    let (scale, least, packed, high, quants) = (float16(b), float16(&b[2..]), &b[4..16], &b[16..48], &b[48..]);
    for (i, out) in out.iter_mut().enumerate() {
        let (part_scale, part_least) = scale_and_least(packed, i / 32);
        let q = quants[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15 | (high[i % 32] >> (i / 32) & 1) << 4;
        *out = scale * part_scale * f32::from(q) - least * part_least;
    }
}

fn q6_k(b: &[u8], out: &mut [f32]) {
    let (low, high, scales, scale) = (&b[..128], &b[128..192], &b[192..208], float16(&b[208..]));
    for (i, out) in out.iter_mut().enumerate() {
        let (half, quarter, within) = (i / 128, i % 128 / 32, i % 32);
        let q = low[half * 64 + quarter % 2 * 32 + within] >> (quarter / 2 * 4) & 15;
        let q = q | (high[half * 32 + within] >> (quarter * 2) & 3) << 4;
        *out = scale * f32::from(scales[i / 16] as i8) * (f32::from(q) - 32.0);
    }
}
