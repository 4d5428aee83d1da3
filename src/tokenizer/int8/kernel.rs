//! The instructions: rounding of residuals, products of 8-bit integers, and products in `f32`.

use std::arch::x86_64::*;

/// Numbers of 32 bits in a register.
pub(super) const LANES: usize = 16;

/// Codes whose products are computed together: four registers.
pub(super) const CODES: usize = 4 * LANES;

/// Dimensions that one instruction multiplies and adds.
pub(super) const STEP: usize = 4;

/// Rows whose products are computed together. Sums, codewords and a residual fill the 32 registers.
pub(super) const STRIP: usize = 6;

/// Squares of smaller numbers can underflow, and squares of larger ones overflow.
pub(super) const TINY: f32 = 1e-15;
/// See [`TINY`].
pub(super) const HUGE: f32 = 1e15;

/// A row that is rounded to 8 bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct RoundedRow {
    /// The row is about `scale` times its integers.
    pub(super) scale: f32,
    /// Length of the row.
    pub(super) norm: f32,
    /// Length of the difference between the row and its rounded form.
    pub(super) error: f32,
}

/// Whether the processor has the instructions.
pub(super) fn supported() -> bool {
    std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512vnni")
}

/// Rounds a row to integers from -127 to 127, and writes them with 128 added. `out` is the padded row; its padding stays
/// as it is. `None` for rows whose squares can underflow or overflow.
pub(super) fn round_row(row: &[f32], out: &mut [u8]) -> Option<RoundedRow> {
    assert!(out.len() >= row.len() && supported());
    // SAFETY: the processor has the instructions, and `out` is at least as long as `row`.
    unsafe { round_wide(row, out) }
}

#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn round_wide(row: &[f32], out: &mut [u8]) -> Option<RoundedRow> {
    let whole = row.len() / LANES * LANES;
    let rest = mask(row.len() - whole);
    // SAFETY, of all loads and stores below: a register is within the row, or the mask ends with it.
    let load = |from: usize| unsafe { _mm512_loadu_ps(row.as_ptr().add(from)) };
    let last = unsafe { _mm512_maskz_loadu_ps(rest, row.as_ptr().add(whole)) };
    let mut largest = _mm512_abs_ps(last);
    for from in (0..whole).step_by(LANES) {
        largest = _mm512_max_ps(_mm512_abs_ps(load(from)), largest);
    }
    let largest = _mm512_reduce_max_ps(largest);
    if largest > 0.0 && largest < TINY || largest > HUGE {
        return None;
    }
    let scale = largest / 127.0;
    let (scales, inverse) = (_mm512_set1_ps(scale), _mm512_set1_ps(if largest > 0.0 { 127.0 / largest } else { 0.0 }));
    let (mut squares, mut errors) = (_mm512_setzero_ps(), _mm512_setzero_ps());
    let mut round = |numbers: __m512| {
        let rounded = _mm512_cvtps_epi32(_mm512_mul_ps(numbers, inverse));
        let left = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(rounded), scales, numbers);
        squares = _mm512_fmadd_ps(numbers, numbers, squares);
        errors = _mm512_fmadd_ps(left, left, errors);
        _mm512_cvtepi32_epi8(_mm512_add_epi32(rounded, _mm512_set1_epi32(128)))
    };
    for from in (0..whole).step_by(LANES) {
        let bytes = round(load(from));
        unsafe { _mm_storeu_si128(out.as_mut_ptr().add(from).cast(), bytes) };
    }
    if rest != 0 {
        let mut bytes = [0; LANES];
        unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), round(last)) };
        out[whole..row.len()].copy_from_slice(&bytes[..row.len() - whole]);
    }
    let (norm, error) = (_mm512_reduce_add_ps(squares).sqrt(), _mm512_reduce_add_ps(errors).sqrt());
    Some(RoundedRow { scale, norm, error })
}

/// The first lanes of a register, at most all.
fn mask(lanes: usize) -> __mmask16 {
    if lanes >= LANES { !0 } else { (1 << lanes) - 1 }
}

/// The sums `starts + row . codeword` of [`STRIP`] rows of `dim` numbers, by row and code. `packed` is in the order of
/// [`super::Int8Book`].
pub(super) fn multiply_strip(rows: &[u8], dim: usize, packed: &[i8], starts: &[i32], out: &mut [i32]) {
    let codes = starts.len();
    assert!(dim.is_multiple_of(STEP) && codes.is_multiple_of(CODES) && supported());
    assert!(rows.len() == STRIP * dim && packed.len() == codes * dim && out.len() == STRIP * codes);
    // SAFETY: the processor has the instructions, and the lengths fit.
    unsafe { multiply_wide(rows, dim, packed, starts, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn multiply_wide(rows: &[u8], dim: usize, packed: &[i8], starts: &[i32], out: &mut [i32]) {
    const REGISTERS: usize = CODES / LANES;
    let codes = starts.len();
    // SAFETY, of all pointers below: `multiply_strip` checks the lengths.
    for first in (0..codes).step_by(CODES) {
        let mut codewords = unsafe { packed.as_ptr().add(first * dim) };
        let start: [__m512i; REGISTERS] =
            std::array::from_fn(|part| unsafe { _mm512_loadu_si512(starts.as_ptr().add(first + part * LANES).cast()) });
        let mut sums = [start; STRIP];
        for at in (0..dim).step_by(STEP) {
            let parts: [__m512i; REGISTERS] =
                std::array::from_fn(|part| unsafe { _mm512_loadu_si512(codewords.add(part * LANES * STEP).cast()) });
            for (row, sums) in sums.iter_mut().enumerate() {
                let four = unsafe { rows.as_ptr().add(row * dim + at).cast::<i32>().read_unaligned() };
                let four = _mm512_set1_epi32(four);
                for (sum, part) in sums.iter_mut().zip(parts) {
                    *sum = _mm512_dpbusd_epi32(*sum, four, part);
                }
            }
            codewords = unsafe { codewords.add(CODES * STEP) };
        }
        for (row, sums) in sums.iter().enumerate() {
            for (part, sum) in sums.iter().enumerate() {
                let at = row * codes + first + part * LANES;
                unsafe { _mm512_storeu_si512(out.as_mut_ptr().add(at).cast(), *sum) };
            }
        }
    }
}

/// The product of two vectors in `f32`.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert!(a.len() == b.len() && supported());
    // SAFETY: the processor has the instructions, and the lengths are equal.
    unsafe { dot_wide(a, b) }
}

#[target_feature(enable = "avx512f")]
unsafe fn dot_wide(a: &[f32], b: &[f32]) -> f32 {
    const SUMS: usize = 4;
    let mut sums = [_mm512_setzero_ps(); SUMS];
    let whole = a.len() / (SUMS * LANES) * (SUMS * LANES);
    for from in (0..whole).step_by(SUMS * LANES) {
        for (part, sum) in sums.iter_mut().enumerate() {
            let at = from + part * LANES;
            // SAFETY: `whole` is at most the length.
            *sum = unsafe {
                _mm512_fmadd_ps(_mm512_loadu_ps(a.as_ptr().add(at)), _mm512_loadu_ps(b.as_ptr().add(at)), *sum)
            };
        }
    }
    for from in (whole..a.len()).step_by(LANES) {
        let lanes = mask(a.len() - from);
        // SAFETY: the mask has as many lanes as there are numbers left.
        let (a, b) = unsafe {
            (_mm512_maskz_loadu_ps(lanes, a.as_ptr().add(from)), _mm512_maskz_loadu_ps(lanes, b.as_ptr().add(from)))
        };
        sums[0] = _mm512_fmadd_ps(a, b, sums[0]);
    }
    let [a, b, c, d] = sums;
    _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(a, b), _mm512_add_ps(c, d)))
}
