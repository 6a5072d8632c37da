//! The types a feature can have, and their text form: `int64`, `decimal(38,9)`, `list<struct<a:int64>>`.

use std::{fmt, str::FromStr};

use minicbor::{Decode, Encode};

use crate::{Name, limits};

/// The type of a feature. Every type is nullable; elements of lists, maps and structs are too, elements of a
/// vector are not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Encode, Decode)]
pub enum DataType {
    /// true or false.
    #[n(0)]
    Bool,
    /// 32-bit signed integer.
    #[n(1)]
    Int32,
    /// 64-bit signed integer.
    #[n(2)]
    Int64,
    /// 32-bit IEEE 754 number; every bit pattern is kept.
    #[n(3)]
    Float32,
    /// 64-bit IEEE 754 number; every bit pattern is kept.
    #[n(4)]
    Float64,
    /// UTF-8 text, as given.
    #[n(5)]
    String,
    /// Bytes.
    #[n(6)]
    Bytes,
    /// Microseconds since the epoch, UTC.
    #[n(7)]
    Timestamp,
    /// Days since the epoch.
    #[n(8)]
    Date,
    /// 16 bytes, written as a UUID.
    #[n(9)]
    Uuid,
    /// JSON text, as given.
    #[n(10)]
    Json,
    /// A decimal number of `precision` digits (1 to 38), `scale` of them (0 to `precision`) after the point.
    #[n(11)]
    Decimal {
        /// Digits in all.
        #[n(0)]
        precision: u8,
        /// Digits after the point.
        #[n(1)]
        scale: u8,
    },
    /// A list of any length.
    #[n(12)]
    List(#[n(0)] Box<DataType>),
    /// A map from text to values; the order of entries is kept.
    #[n(13)]
    Map(#[n(0)] Box<DataType>),
    /// Named fields, at least one.
    #[n(14)]
    Struct(#[n(0)] Vec<Field>),
    /// A fixed number of floats, for embeddings.
    #[n(15)]
    Vector {
        /// Whether the elements are 64-bit floats rather than 32-bit.
        #[n(0)]
        double: bool,
        /// Elements, 1 to [`limits::VECTOR_LENGTH`].
        #[n(1)]
        length: u32,
    },
}

/// A named field of a struct.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Field {
    /// The name, unique in its struct.
    #[n(0)]
    pub name: Name,
    /// The type.
    #[n(1)]
    pub data_type: DataType,
}

/// The text is not a type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a type: {why}")]
pub struct ParseTypeError {
    text: String,
    why: String,
}

/// Types without parameters, by name.
const SIMPLE: [(&str, DataType); 11] = [
    ("bool", DataType::Bool),
    ("int32", DataType::Int32),
    ("int64", DataType::Int64),
    ("float32", DataType::Float32),
    ("float64", DataType::Float64),
    ("string", DataType::String),
    ("bytes", DataType::Bytes),
    ("timestamp", DataType::Timestamp),
    ("date", DataType::Date),
    ("uuid", DataType::Uuid),
    ("json", DataType::Json),
];
const PARAMETRIC: [&str; 5] =
    ["decimal(38,9)", "list<T>", "map<string,T>", "struct<a:T,b:T>", "vector<float32,768>"];

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::List(element) => write!(f, "list<{element}>"),
            Self::Map(value) => write!(f, "map<string,{value}>"),
            Self::Struct(fields) => {
                f.write_str("struct<")?;
                for (position, field) in fields.iter().enumerate() {
                    let comma = if position == 0 { "" } else { "," };
                    write!(f, "{comma}{}:{}", field.name, field.data_type)?;
                }
                f.write_str(">")
            }
            Self::Vector { double, length } => {
                write!(f, "vector<{},{length}>", if *double { "float64" } else { "float32" })
            }
            simple => {
                let name =
                    SIMPLE.iter().find(|(_, data_type)| data_type == simple).map_or("?", |(name, _)| name);
                f.write_str(name)
            }
        }
    }
}

impl FromStr for DataType {
    type Err = ParseTypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parser = Parser { rest: text };
        parser
            .data_type(0)
            .and_then(|data_type| match parser.rest {
                "" => Ok(data_type),
                rest => Err(format!("`{rest}` is left over")),
            })
            .map_err(|why| ParseTypeError { text: text.to_owned(), why })
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn data_type(&mut self, depth: usize) -> Result<DataType, String> {
        if depth > limits::TYPE_DEPTH {
            return Err(format!("it nests deeper than {}", limits::TYPE_DEPTH));
        }
        let word = self.word();
        match word {
            "decimal" => {
                self.expect("(")?;
                let precision = self.number(1, 38)?;
                self.expect(",")?;
                let scale = self.number(0, precision)?;
                self.expect(")")?;
                Ok(DataType::Decimal { precision: byte(precision), scale: byte(scale) })
            }
            "list" => {
                self.expect("<")?;
                let element = self.data_type(depth + 1)?;
                self.expect(">")?;
                Ok(DataType::List(Box::new(element)))
            }
            "map" => {
                self.expect("<")?;
                if self.word() != "string" {
                    return Err("the keys of a map are of type string".into());
                }
                self.expect(",")?;
                let value = self.data_type(depth + 1)?;
                self.expect(">")?;
                Ok(DataType::Map(Box::new(value)))
            }
            "struct" => {
                self.expect("<")?;
                let fields = self.fields(depth + 1)?;
                self.expect(">")?;
                Ok(DataType::Struct(fields))
            }
            "vector" => {
                self.expect("<")?;
                let double = match self.word() {
                    "float32" => false,
                    "float64" => true,
                    other => return Err(format!("a vector holds float32 or float64, not `{other}`")),
                };
                self.expect(",")?;
                let length = self.number(1, limits::VECTOR_LENGTH)?;
                self.expect(">")?;
                Ok(DataType::Vector { double, length })
            }
            word => SIMPLE
                .iter()
                .find(|(name, _)| *name == word)
                .map(|(_, data_type)| data_type.clone())
                .ok_or_else(|| {
                    let simple = SIMPLE.map(|(name, _)| name);
                    let hint = Name::nearest(word, simple)
                        .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                    format!(
                        "`{word}` is unknown{hint} The types are {}, {}",
                        simple.join(", "),
                        PARAMETRIC.join(", ")
                    )
                }),
        }
    }

    fn fields(&mut self, depth: usize) -> Result<Vec<Field>, String> {
        let mut fields: Vec<Field> = Vec::new();
        loop {
            let name = Name::new(self.word()).map_err(|cause| cause.to_string())?;
            if fields.iter().any(|field| field.name == name) {
                return Err(format!("field `{name}` occurs twice"));
            }
            self.expect(":")?;
            fields.push(Field { name, data_type: self.data_type(depth)? });
            if fields.len() > limits::FEATURES_PER_VIEW {
                return Err(format!("a struct has at most {} fields", limits::FEATURES_PER_VIEW));
            }
            if !self.rest.starts_with(',') {
                return Ok(fields);
            }
            self.expect(",")?;
        }
    }

    /// Takes the letters, digits and underscores at the front, and the spaces around them.
    fn word(&mut self) -> &'a str {
        let start = self.rest.trim_start();
        let end = start.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(start.len());
        let (word, rest) = start.split_at(end);
        self.rest = rest.trim_start();
        word
    }

    fn number(&mut self, least: u32, most: u32) -> Result<u32, String> {
        let word = self.word();
        word.parse()
            .ok()
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| format!("expected a number from {least} to {most}, not `{word}`"))
    }

    fn expect(&mut self, mark: &str) -> Result<(), String> {
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest.trim_start();
                Ok(())
            }
            None => Err(format!("expected `{mark}` before `{}`", self.rest)),
        }
    }
}

fn byte(number: u32) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_prints_as_it_reads() {
        for text in [
            "bool",
            "int32",
            "int64",
            "float32",
            "float64",
            "string",
            "bytes",
            "timestamp",
            "date",
            "uuid",
            "json",
            "decimal(38,9)",
            "list<int64>",
            "map<string,list<float32>>",
            "struct<a:int64,b:struct<c:string>>",
            "vector<float32,768>",
            "vector<float64,3>",
        ] {
            let parsed: DataType = text.parse().expect(text);
            assert_eq!(parsed.to_string(), text);
            let bytes = minicbor::to_vec(&parsed).expect("encodes");
            assert_eq!(minicbor::decode::<DataType>(&bytes).expect("decodes"), parsed);
        }
        assert_eq!("list< int64 >".parse::<DataType>().map(|t| t.to_string()), Ok("list<int64>".into()));
    }

    #[test]
    fn wrong_types_say_what_would_be_right() {
        for (text, expected) in [
            ("flaot64", "did you mean `float64`?"),
            ("decimal(39,0)", "from 1 to 38"),
            ("decimal(5,6)", "from 0 to 5"),
            ("map<int64,string>", "of type string"),
            ("vector<int64,3>", "float32 or float64"),
            ("vector<float32,0>", "from 1"),
            ("list<int64", "expected `>`"),
            ("int64>", "left over"),
            ("struct<>", "not a name"),
            ("struct<a:int64,a:int64>", "twice"),
            ("", "is unknown"),
        ] {
            let error = text.parse::<DataType>().expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let deep = "list<".repeat(100) + "int64" + &">".repeat(100);
        assert!(deep.parse::<DataType>().is_err());
    }
}
