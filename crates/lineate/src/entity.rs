//! `--entity k=v,k2=v2`: the keys of one entity, with `: , = %` percent-encoded inside names and values.

use std::{collections::BTreeMap, str::FromStr};

use lineate_client::v1::{
    EntityColumn, EntityColumns,
    entity_column::{Texts, Values},
};

use crate::error::Error;

/// The keys of one entity, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entity(pub(crate) Vec<(String, String)>);

impl FromStr for Entity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut keys: Vec<(String, String)> = Vec::new();
        for part in text.split(',') {
            let (name, value) = part.split_once('=').ok_or_else(|| {
                format!("`{part}` is not KEY=VALUE; write an entity like origin=JFK or origin=JFK,dest=LAX")
            })?;
            if value.contains('=') {
                return Err(format!("write `=` inside the value of `{name}` as %3D"));
            }
            let (name, value) = (decode(name)?, decode(value)?);
            if name.is_empty() {
                return Err(format!("`{part}` names no key"));
            }
            if keys.iter().any(|(known, _)| *known == name) {
                return Err(format!("key `{name}` is given twice"));
            }
            keys.push((name, value));
        }
        Ok(Self(keys))
    }
}

/// The entities as columns; all must give the same keys.
pub(crate) fn columns(entities: &[Entity]) -> Result<EntityColumns, Error> {
    let mut columns: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for Entity(keys) in entities {
        for (name, value) in keys {
            columns.entry(name).or_default().push(value.clone());
        }
    }
    if let Some((name, _)) = columns.iter().find(|(_, values)| values.len() != entities.len()) {
        return Err(Error::Usage(format!(
            "every --entity must give the same keys; `{name}` is missing in some"
        )));
    }
    let columns = columns.into_iter().map(|(name, values)| EntityColumn {
        name: name.to_owned(),
        values: Some(Values::Texts(Texts { values })),
    });
    Ok(EntityColumns { columns: columns.collect() })
}

/// Undoes percent-encoding; a `%` that encodes nothing is an error, never a guess.
fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let decoded = tail
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .ok_or_else(|| {
                format!("a `%` in `{text}` is not followed by two hex digits; write % itself as %25")
            })?;
        bytes.push(decoded);
        rest = tail.get(2..).unwrap_or_default();
    }
    String::from_utf8(bytes).map_err(|_| format!("`{text}` does not decode to UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(text: &str) -> String {
        text.chars()
            .map(|c| if ":,=%".contains(c) { format!("%{:02X}", c as u32) } else { c.to_string() })
            .collect()
    }

    #[test]
    fn entities_are_keys_and_values() {
        let entity: Entity = "origin=JFK,dest=L%2CA%3d%25,empty=".parse().expect("valid");
        let expected = [("origin", "JFK"), ("dest", "L,A=%"), ("empty", "")];
        assert_eq!(entity.0, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn what_is_no_entity_is_refused() {
        for text in
            ["", "origin", "=JFK", "a=1,a=2", "a=1,", "a=b=c", "a=%", "a=%4", "a=%zz", "a=%+1", "a=%ff"]
        {
            assert!(text.parse::<Entity>().is_err(), "{text}");
        }
    }

    #[test]
    fn all_entities_give_the_same_keys_in_any_order() {
        let entities = ["a=1,b=2", "b=4,a=3"].map(|text| text.parse::<Entity>().expect("valid"));
        let columns = columns(&entities).expect("the same keys");
        let names: Vec<&str> = columns.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        let entities = ["a=1,b=2", "a=3"].map(|text| text.parse::<Entity>().expect("valid"));
        assert!(matches!(super::columns(&entities), Err(Error::Usage(_))));
    }

    proptest! {
        #[test]
        fn any_value_can_be_written(name in "[a-z]{1,5}", value in any::<String>()) {
            let text = format!("{name}={}", encode(&value));
            prop_assert_eq!(text.parse::<Entity>(), Ok(Entity(vec![(name, value)])));
        }
    }
}
