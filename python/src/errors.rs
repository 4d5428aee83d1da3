//! Conversion of the crate's errors to Python exceptions.

use catalex::ErrorKind;
use catalex::printable::printable;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// An error of the crate as the exception of `catalex.errors` for its category.
pub(crate) fn to_py(error: catalex::Error) -> PyErr {
    match error.kind() {
        ErrorKind::Input => of_class(0, "InputError", &error),
        ErrorKind::Config => of_class(1, "ConfigError", &error),
        ErrorKind::Artifact => of_class(2, "ArtifactError", &error),
        ErrorKind::Environment => of_class(3, "ResourceError", &error),
    }
}

/// The exception for a folder that is not a model, or a damaged one.
pub(crate) fn model_error(error: &catalex::Error) -> PyErr {
    of_class(4, "ModelError", error)
}

fn of_class(index: usize, name: &str, error: &catalex::Error) -> PyErr {
    static CLASSES: [PyOnceLock<Py<PyType>>; 5] = [const { PyOnceLock::new() }; 5];
    Python::attach(|py| match CLASSES[index].import(py, "catalex.errors", name) {
        Ok(class) => PyErr::from_type(class.clone(), printable(&error.to_string()).into_owned()),
        Err(missing) => missing,
    })
}

/// The exception for arguments that do not match.
pub(crate) fn mismatch(what: &str, expected: &str, got: impl ToString, help: &str) -> PyErr {
    to_py(catalex::Error::mismatch(what, expected, got, help))
}
