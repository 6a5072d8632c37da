//! Decimals of other widths, precisions and scales: rescaled only where no digit is lost.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray},
    datatypes::{DataType as ArrowType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, i256},
};
use lineate_types::DataType;

use super::{Refusal, number::map};

pub(super) fn decimals(array: &ArrayRef, precision: u8, scale: u8) -> Result<ArrayRef, Refusal> {
    let arrow_scale = i8::try_from(scale).unwrap_or(i8::MAX);
    let wanted = Wanted { precision, scale: i32::from(scale) };
    match array.data_type() {
        ArrowType::Decimal128(p, s) if *p == precision && *s == arrow_scale => {
            // Arrow does not check on reading that values keep to their precision.
            let checked = map::<Decimal128Type, Decimal128Type>(array.as_primitive(), |v| wanted.check(v))?;
            finish(checked, precision, arrow_scale)
        }
        ArrowType::Decimal32(_, s) => {
            let from = i32::from(*s);
            narrow::<Decimal32Type>(
                array,
                |value| wanted.rescale(i128::from(value), from),
                precision,
                arrow_scale,
            )
        }
        ArrowType::Decimal64(_, s) => {
            let from = i32::from(*s);
            narrow::<Decimal64Type>(
                array,
                |value| wanted.rescale(i128::from(value), from),
                precision,
                arrow_scale,
            )
        }
        ArrowType::Decimal128(_, s) => {
            let from = i32::from(*s);
            narrow::<Decimal128Type>(array, |value| wanted.rescale(value, from), precision, arrow_scale)
        }
        ArrowType::Decimal256(_, s) => {
            let from = i32::from(*s);
            narrow::<Decimal256Type>(array, |value| wanted.rescale_wide(value, from), precision, arrow_scale)
        }
        found => Err(Refusal::wrong_type(DataType::Decimal { precision, scale }, found)),
    }
}

fn narrow<S: ArrowPrimitiveType>(
    array: &ArrayRef,
    op: impl Fn(S::Native) -> Result<i128, String>,
    precision: u8,
    scale: i8,
) -> Result<ArrayRef, Refusal> {
    finish(map::<S, Decimal128Type>(array.as_primitive(), op)?, precision, scale)
}

fn finish(
    array: arrow::array::PrimitiveArray<Decimal128Type>,
    precision: u8,
    scale: i8,
) -> Result<ArrayRef, Refusal> {
    let array = array
        .with_precision_and_scale(precision, scale)
        .map_err(|cause| Refusal::wrong_type(format!("decimal({precision},{scale})"), cause))?;
    Ok(Arc::new(array))
}

/// The precision and scale of the wanted decimal.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    precision: u8,
    scale: i32,
}

impl Wanted {
    /// The unscaled value, if it keeps to the precision.
    fn check(self, value: i128) -> Result<i128, String> {
        // 10^38 is below 2^127, and the precision is at most 38.
        let bound = 10_u128.pow(u32::from(self.precision.min(38)));
        if value.unsigned_abs() < bound { Ok(value) } else { Err(self.too_long()) }
    }

    fn rescale(self, value: i128, from: i32) -> Result<i128, String> {
        let shift = self.scale.saturating_sub(from);
        if value == 0 {
            return Ok(0);
        }
        let factor = 10_i128.checked_pow(shift.unsigned_abs());
        let scaled = match (shift >= 0, factor) {
            (true, Some(factor)) => value.checked_mul(factor).ok_or_else(|| self.too_long())?,
            (true, None) => return Err(self.too_long()),
            (false, Some(factor)) if value % factor == 0 => value / factor,
            (false, _) => return Err(self.too_fine()),
        };
        self.check(scaled)
    }

    fn rescale_wide(self, value: i256, from: i32) -> Result<i128, String> {
        let shift = self.scale.saturating_sub(from);
        if let Some(narrow) = value.to_i128() {
            return self.rescale(narrow, from);
        }
        if shift >= 0 {
            return Err(self.too_long());
        }
        let ten = i256::from_i128(10);
        let factor = ten.checked_pow(shift.unsigned_abs()).ok_or_else(|| self.too_fine())?;
        if value.checked_rem(factor) != Some(i256::ZERO) {
            return Err(self.too_fine());
        }
        let scaled = value.checked_div(factor).and_then(i256::to_i128).ok_or_else(|| self.too_long())?;
        self.check(scaled)
    }

    fn too_long(self) -> String {
        format!("the number has more digits than decimal({},{}) holds", self.precision, self.scale)
    }

    fn too_fine(self) -> String {
        format!("the number has more than the {} digits after the point that are kept", self.scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_rescale_only_exactly() {
        let wanted = Wanted { precision: 5, scale: 2 };
        assert_eq!(wanted.rescale(12, 0), Ok(1200));
        assert_eq!(wanted.rescale(1200, 3), Ok(120));
        assert!(wanted.rescale(1201, 3).is_err());
        assert!(wanted.rescale(1000, 0).is_err());
        assert_eq!(wanted.rescale(-999, 0), Ok(-99900));
        assert_eq!(wanted.rescale(5, -2), Ok(50_000));
        assert!(wanted.rescale(1, -100).is_err());
        assert!(wanted.rescale(1, 100).is_err());
        assert_eq!(wanted.rescale(0, 100), Ok(0));
        let wide = i256::from_i128(10).checked_pow(40).and_then(|ten| ten.checked_mul(i256::from_i128(7)));
        assert_eq!(wanted.rescale_wide(wide.expect("fits"), 41), Ok(70));
        assert!(wanted.rescale_wide(wide.expect("fits"), 2).is_err());
    }
}
