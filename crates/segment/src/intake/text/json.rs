//! JSON values into columns.

use std::{borrow::Cow, collections::BTreeSet};

use serde_json::value::RawValue;

use super::{
    builder::{Builder, Column, Fault},
    ndjson::{Raw, visit_object},
};
use crate::intake::{
    refusal::{excerpt, hint},
    value,
};

impl Builder {
    /// Adds a JSON value.
    pub(in crate::intake) fn push_json(&mut self, raw: &RawValue) -> Result<(), Fault> {
        let text = raw.get();
        if text == "null" {
            self.push_null();
            return Ok(());
        }
        match &mut self.column {
            Column::Bool(values) => match text {
                "true" => values.append_value(true),
                "false" => values.append_value(false),
                _ => return Err(unlike("bool", text)),
            },
            Column::Int32(values) => values.append_value(value::integer(number(text, "int32")?, "int32")?),
            Column::Int64(values) => values.append_value(value::integer(number(text, "int64")?, "int64")?),
            Column::Float32(values) => values.append_value(float(text, "float32")?),
            Column::Float64(values) => values.append_value(float(text, "float64")?),
            Column::String(values) => values.append_value(string(text, "string")?),
            Column::Json(values) => values.append_value(text),
            Column::Bytes(values) => values.append_value(value::bytes(&string(text, "bytes as base64")?)?),
            Column::Timestamp(values) => {
                let time = string(text, "timestamp as a string")?;
                values.append_value(value::timestamp(&time, self.naive_times_are_utc)?);
            }
            Column::Date(values) => values.append_value(value::date(&string(text, "date as a string")?)?),
            Column::Uuid(values) => {
                let uuid = value::uuid(&string(text, "uuid as a string")?)?;
                values.append_value(uuid).map_err(|cause| cause.to_string())?;
            }
            Column::Decimal { values, precision, scale } => {
                let digits = match text.starts_with('"') {
                    true => string(text, "decimal")?,
                    false => Cow::Borrowed(number(text, &format!("decimal({precision},{scale})"))?),
                };
                values.append_value(value::decimal(&digits, *precision, *scale)?);
            }
            Column::List { elements, lengths, .. } => {
                let items = array(text, "a list")?;
                for (at, item) in items.iter().enumerate() {
                    elements.push_json(item).map_err(|fault| fault.inside(&format!("[{at}]")))?;
                }
                lengths.push(items.len());
            }
            Column::Vector { length, elements, nulls, .. } => {
                let items = array(text, "a vector as a list")?;
                if items.len() != *length as usize {
                    return Err(format!("expected {length} elements, found {}", items.len()).into());
                }
                for (at, item) in items.iter().enumerate() {
                    if item.get() == "null" {
                        return Err(Fault::from("a vector has no null elements".to_owned())
                            .inside(&format!("[{at}]")));
                    }
                    elements.push_json(item).map_err(|fault| fault.inside(&format!("[{at}]")))?;
                }
                nulls.append_non_null();
            }
            Column::Map { keys, values, lengths, .. } => {
                let mut entries: Vec<(String, Raw<'_>)> = Vec::new();
                object(text, "a map as an object", |key, raw| entries.push((key.to_owned(), raw)))?;
                let distinct: BTreeSet<&str> = entries.iter().map(|(key, _)| key.as_str()).collect();
                if distinct.len() != entries.len() {
                    return Err(String::from("a key occurs twice in a map").into());
                }
                for (key, raw) in &entries {
                    keys.append_value(key);
                    values.push_json(raw).map_err(|fault| fault.inside(&format!("[{}]", excerpt(key))))?;
                }
                lengths.push(entries.len());
            }
            Column::Struct { fields, columns, nulls } => {
                let mut found: Vec<Option<Raw<'_>>> = vec![None; fields.len()];
                let mut odd: Option<String> = None;
                let names = || fields.iter().map(|field| field.name.as_str());
                object(text, "a struct as an object", |key, raw| {
                    let slot = names().position(|name| name == key).and_then(|at| found.get_mut(at));
                    match slot {
                        Some(slot) if slot.is_none() => *slot = Some(raw),
                        Some(_) => odd = Some(format!("field {} is there twice", excerpt(key))),
                        None => {
                            odd = Some(format!("field {} is unknown{}", excerpt(key), hint(key, names())));
                        }
                    }
                })?;
                if let Some(why) = odd {
                    return Err(why.into());
                }
                for ((field, column), raw) in fields.iter().zip(columns).zip(found) {
                    let step = format!(".{}", field.name);
                    let raw = raw.ok_or_else(|| {
                        Fault::from(String::from("the field is missing; write null where it is unknown"))
                            .inside(&step)
                    })?;
                    column.push_json(raw).map_err(|fault| fault.inside(&step))?;
                }
                nulls.append_non_null();
            }
        }
        Ok(())
    }
}

fn unlike(expected: &str, text: &str) -> Fault {
    format!("expected {expected}, found {}", excerpt(text)).into()
}

/// The digits of a JSON number.
fn number<'a>(text: &'a str, expected: &str) -> Result<&'a str, Fault> {
    match text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        true => Ok(text),
        false => Err(unlike(expected, text)),
    }
}

/// A JSON number, or one of the three strings for what JSON has no number for.
fn float<T: std::str::FromStr + Into<f64> + Copy>(text: &str, name: &str) -> Result<T, Fault> {
    let digits = match text {
        r#""NaN""# => "NaN",
        r#""Infinity""# => "inf",
        r#""-Infinity""# => "-inf",
        _ => number(text, &format!("{name} (or \"NaN\", \"Infinity\", \"-Infinity\")"))?,
    };
    Ok(value::float(digits, name)?)
}

fn string<'a>(text: &'a str, expected: &str) -> Result<Cow<'a, str>, Fault> {
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(plain) if !plain.contains('\\') => Ok(Cow::Borrowed(plain)),
        Some(_) => {
            let unescaped = serde_json::from_str::<String>(text).map_err(|cause| cause.to_string())?;
            Ok(Cow::Owned(unescaped))
        }
        None => Err(unlike(expected, text)),
    }
}

fn array<'a>(text: &'a str, expected: &str) -> Result<Vec<&'a RawValue>, Fault> {
    match text.starts_with('[') {
        true => serde_json::from_str(text).map_err(|cause| cause.to_string().into()),
        false => Err(unlike(expected, text)),
    }
}

fn object<'a>(text: &'a str, expected: &str, visit: impl FnMut(&str, Raw<'a>)) -> Result<(), Fault> {
    match text.starts_with('{') {
        true => visit_object(text, visit).map_err(|cause| cause.to_string().into()),
        false => Err(unlike(expected, text)),
    }
}
