//! The devices that encoders run on.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// A device of ONNX Runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// The CPU.
    #[default]
    Cpu,
    /// An NVIDIA GPU, by number.
    Cuda(u16),
    /// Apple's CoreML.
    CoreMl,
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match (name, name.strip_prefix("cuda:").map(str::parse)) {
            ("cpu", _) => Ok(Device::Cpu),
            ("cuda", _) => Ok(Device::Cuda(0)),
            ("coreml", _) => Ok(Device::CoreMl),
            (_, Some(Ok(number))) => Ok(Device::Cuda(number)),
            _ => Err(Error::config("encoder-device", "cpu, cuda, cuda:N or coreml", name, "omit it for the CPU")),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(number) => write!(f, "cuda:{number}"),
            Device::CoreMl => f.write_str("coreml"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_as_displayed() {
        for device in [Device::Cpu, Device::Cuda(0), Device::Cuda(3), Device::CoreMl] {
            assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
        }
        assert_eq!("cuda".parse::<Device>().unwrap(), Device::Cuda(0));
        for name in ["gpu", "cuda:", "cuda:-1", "cuda:x", "CPU", ""] {
            assert!(name.parse::<Device>().is_err(), "{name}");
        }
    }
}
