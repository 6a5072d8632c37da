//! Timestamps and dates.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray},
    datatypes::{
        DataType as ArrowType, Date32Type, Date64Type, TimeUnit, TimestampMicrosecondType,
        TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    },
};

use super::{Refusal, number::map};

const DAY_MS: i64 = 86_400_000;

/// Microseconds UTC from a timestamp column of any unit. A zone is only how the instant is shown.
pub(in crate::intake) fn timestamps(
    array: &ArrayRef,
    naive_times_are_utc: bool,
) -> Result<ArrayRef, Refusal> {
    let ArrowType::Timestamp(unit, zone) = array.data_type() else {
        return Err(Refusal::wrong_type("timestamp", array.data_type()));
    };
    if zone.is_none() && !naive_times_are_utc {
        return Err(Refusal::wrong_type(
            "timestamps with a time zone",
            "timestamps without one; write them with a zone, or say `naive_times: utc` in the view",
        ));
    }
    let times = match unit {
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().clone(),
        TimeUnit::Second => scaled::<TimestampSecondType>(array, 1_000_000, "s")?,
        TimeUnit::Millisecond => scaled::<TimestampMillisecondType>(array, 1_000, "ms")?,
        TimeUnit::Nanosecond => {
            map::<TimestampNanosecondType, TimestampMicrosecondType>(array.as_primitive(), |time| {
                if time % 1_000 == 0 { Ok(time / 1_000) } else { Err(too_fine(time)) }
            })?
        }
    };
    Ok(Arc::new(times.with_timezone("UTC")))
}

fn too_fine(time_ns: i64) -> String {
    format!("{time_ns} ns is finer than a microsecond; round it before")
}

fn scaled<S: ArrowPrimitiveType<Native = i64>>(
    array: &ArrayRef,
    factor: i64,
    unit: &str,
) -> Result<PrimitiveArray<TimestampMicrosecondType>, Refusal> {
    map::<S, TimestampMicrosecondType>(array.as_primitive(), |time| {
        time.checked_mul(factor).ok_or_else(|| format!("{time} {unit} does not fit 64 bits of microseconds"))
    })
}

/// Days since the epoch.
pub(super) fn dates(array: &ArrayRef) -> Result<ArrayRef, Refusal> {
    match array.data_type() {
        ArrowType::Date32 => Ok(array.clone()),
        ArrowType::Date64 => {
            let days = map::<Date64Type, Date32Type>(array.as_primitive(), |time_ms| {
                if time_ms % DAY_MS != 0 {
                    return Err(format!("{time_ms} ms is not a whole day"));
                }
                i32::try_from(time_ms / DAY_MS).map_err(|_| format!("{time_ms} ms does not fit a date"))
            })?;
            Ok(Arc::new(days))
        }
        found => Err(Refusal::wrong_type("date", found)),
    }
}
