//! Integers and floats.

use std::fmt::Display;

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray},
    datatypes::{
        DataType as ArrowType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
        Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    },
};

use super::Refusal;
use std::sync::Arc;

/// Maps the values that are not null; the first one refused is reported by its index.
pub(super) fn map<S, T>(
    array: &PrimitiveArray<S>,
    op: impl Fn(S::Native) -> Result<T::Native, String>,
) -> Result<PrimitiveArray<T>, Refusal>
where
    S: ArrowPrimitiveType,
    T: ArrowPrimitiveType,
{
    array.try_unary::<_, T, String>(&op).map_err(|why| {
        let refused = |(_, value): &(usize, Option<S::Native>)| value.is_some_and(|value| op(value).is_err());
        let index = array.iter().enumerate().find(refused).map_or(0, |(index, _)| index);
        Refusal::value(index, why)
    })
}

pub(super) fn int32(array: &ArrayRef) -> Result<ArrayRef, Refusal> {
    match array.data_type() {
        ArrowType::Int32 => Ok(array.clone()),
        _ => integers::<Int32Type>(array, "int32"),
    }
}

pub(super) fn int64(array: &ArrayRef) -> Result<ArrayRef, Refusal> {
    match array.data_type() {
        ArrowType::Int64 => Ok(array.clone()),
        _ => integers::<Int64Type>(array, "int64"),
    }
}

fn integers<T>(array: &ArrayRef, name: &'static str) -> Result<ArrayRef, Refusal>
where
    T: ArrowPrimitiveType,
    T::Native: TryFrom<i8>
        + TryFrom<i16>
        + TryFrom<i32>
        + TryFrom<i64>
        + TryFrom<u8>
        + TryFrom<u16>
        + TryFrom<u32>
        + TryFrom<u64>,
{
    fn fit<S, T>(array: &ArrayRef, name: &'static str) -> Result<ArrayRef, Refusal>
    where
        S: ArrowPrimitiveType,
        T: ArrowPrimitiveType,
        T::Native: TryFrom<S::Native>,
        S::Native: Display,
    {
        let fitted = map::<S, T>(array.as_primitive(), |value| {
            T::Native::try_from(value).map_err(|_| format!("{value} does not fit {name}"))
        })?;
        Ok(Arc::new(fitted))
    }
    match array.data_type() {
        ArrowType::Int8 => fit::<Int8Type, T>(array, name),
        ArrowType::Int16 => fit::<Int16Type, T>(array, name),
        ArrowType::Int32 => fit::<Int32Type, T>(array, name),
        ArrowType::Int64 => fit::<Int64Type, T>(array, name),
        ArrowType::UInt8 => fit::<UInt8Type, T>(array, name),
        ArrowType::UInt16 => fit::<UInt16Type, T>(array, name),
        ArrowType::UInt32 => fit::<UInt32Type, T>(array, name),
        ArrowType::UInt64 => fit::<UInt64Type, T>(array, name),
        found => Err(Refusal::wrong_type(name, found)),
    }
}

pub(super) fn float32(array: &ArrayRef) -> Result<ArrayRef, Refusal> {
    match array.data_type() {
        ArrowType::Float32 => Ok(array.clone()),
        ArrowType::Float16 => {
            let halves = array.as_primitive::<Float16Type>();
            Ok(Arc::new(halves.unary::<_, Float32Type>(|half| widen_half(half.to_bits()))))
        }
        found => Err(Refusal::wrong_type("float32", found)),
    }
}

pub(super) fn float64(array: &ArrayRef) -> Result<ArrayRef, Refusal> {
    match array.data_type() {
        ArrowType::Float64 => Ok(array.clone()),
        ArrowType::Float32 => {
            Ok(Arc::new(array.as_primitive::<Float32Type>().unary::<_, Float64Type>(widen_single)))
        }
        ArrowType::Float16 => {
            let halves = array.as_primitive::<Float16Type>();
            Ok(Arc::new(halves.unary::<_, Float64Type>(|half| widen_single(widen_half(half.to_bits())))))
        }
        found => Err(Refusal::wrong_type("float64", found)),
    }
}

/// A cast may quieten a signalling NaN: its bits are moved instead.
fn widen_single(value: f32) -> f64 {
    if !value.is_nan() {
        return f64::from(value);
    }
    let bits = u64::from(value.to_bits());
    let sign = (bits >> 31) << 63;
    f64::from_bits(sign | 0x7ff0_0000_0000_0000 | ((bits & 0x007f_ffff) << 29))
}

/// A float of 16 bits, from its bits; exact, since every one of them is a float of 32 bits too.
fn widen_half(half: u16) -> f32 {
    let half = u32::from(half);
    let sign = (half & 0x8000) << 16;
    let exponent = (half >> 10) & 0x1f;
    let fraction = half & 0x3ff;
    let magnitude = match exponent {
        // Zero, or a subnormal number: `fraction` units of 2^-24. Both factors and the product are exact.
        0 => (f32::from(fraction as u16) * f32::from_bits(0x3380_0000)).to_bits(),
        0x1f => 0x7f80_0000 | (fraction << 13),
        // The exponent's bias is 15 in a half and 127 in a single.
        _ => ((exponent + 112) << 23) | (fraction << 13),
    };
    f32::from_bits(sign | magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_widen_bit_by_bit() {
        assert_eq!(widen_single(f32::from_bits(0x7f80_0001)).to_bits(), 0x7ff0_0000_2000_0000);
        assert_eq!(widen_single(f32::from_bits(0xffc0_1234)).to_bits(), 0xfff8_0246_8000_0000);
        assert_eq!(widen_single(-0.0).to_bits(), (-0.0_f64).to_bits());
        for (half, single) in [
            (0x0000, 0.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x7c00, f32::INFINITY),
        ] {
            assert_eq!(widen_half(half).to_bits(), f32::to_bits(single), "{half:04x}");
        }
        assert_eq!(widen_half(0x8000).to_bits(), 0x8000_0000);
        assert_eq!(widen_half(0x7c01).to_bits(), 0x7f80_2000);
    }
}
