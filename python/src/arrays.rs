//! Conversion between numpy arrays and the crate's matrices, without copies.
//!
//! The numpy bindings may use another version of `ndarray` than the crate, so pointers, shapes and strides are passed.

use ndarray::{Array2, ArrayView2, Axis, Ix2, RawArrayView, ShapeBuilder};
use numpy::{Element, PyArray1, PyArray2, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::prelude::*;

/// A view of a matrix in place. `catalex` passes aligned matrices only, so strides are whole numbers of elements.
fn raw<T: Element>(array: &Bound<'_, PyArray2<T>>) -> RawArrayView<T, Ix2> {
    let shape = [array.shape()[0], array.shape()[1]];
    let mut first = array.data().cast_const();
    let mut strides = [0; 2];
    let mut backwards = [false; 2];
    for axis in 0..2 {
        let stride = array.strides()[axis];
        backwards[axis] = stride < 0;
        if stride < 0 {
            // With a negative stride the last element has the lowest address.
            first = first.wrapping_byte_offset(stride * shape[axis].saturating_sub(1) as isize);
        }
        strides[axis] = stride.unsigned_abs() / size_of::<T>();
    }
    if shape.contains(&0) {
        strides = [0; 2];
    }
    // SAFETY: pointer, shape and strides come from numpy, reversed so that no stride is negative.
    let mut view =
        unsafe { RawArrayView::from_shape_ptr(Ix2(shape[0], shape[1]).strides(Ix2(strides[0], strides[1])), first) };
    for (axis, backwards) in backwards.into_iter().enumerate() {
        if backwards {
            view.invert_axis(Axis(axis));
        }
    }
    view
}

/// A view of a matrix for the duration of a call.
pub(crate) fn view<'a, T: Element>(array: &'a Bound<'_, PyArray2<T>>) -> ArrayView2<'a, T> {
    // SAFETY: the array outlives the view. As usual with numpy, callers must not write to an array that is being read.
    unsafe { raw(array).deref_into_view() }
}

/// Converts a matrix to numpy without a copy.
pub(crate) fn to_numpy<T: Element + Clone>(py: Python<'_>, array: Array2<T>) -> PyResult<Bound<'_, PyArray2<T>>> {
    let shape = [array.nrows(), array.ncols()];
    let in_order = if array.is_standard_layout() { array } else { array.as_standard_layout().into_owned() };
    PyArray1::from_vec(py, in_order.into_raw_vec_and_offset().0).reshape(shape)
}

/// A matrix that is kept alive for work that may outlast the call.
pub(crate) struct NumpyMatrix<T> {
    view: RawArrayView<T, Ix2>,
    _owner: Py<PyAny>,
}

// SAFETY: the numbers are only read, and the owner is only dropped, which pyo3 allows on any thread.
unsafe impl<T: Sync> Send for NumpyMatrix<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for NumpyMatrix<T> {}

impl<T: Element> NumpyMatrix<T> {
    pub(crate) fn of(array: &Bound<'_, PyArray2<T>>) -> Self {
        NumpyMatrix { view: raw(array), _owner: array.clone().into_any().unbind() }
    }

    pub(crate) fn view(&self) -> ArrayView2<'_, T> {
        // SAFETY: the owner keeps the memory alive; callers must not write to it meanwhile.
        unsafe { self.view.deref_into_view() }
    }
}
