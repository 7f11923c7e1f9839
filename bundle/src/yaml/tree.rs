//! A YAML document as a tree of values that know their places, for files in which everything wrong is to be said at once.
//!
//! [`parse`] stops only where the text is no YAML. Whoever reads the tree says what is wrong with it, takes that out, and reads
//! the rest as a type ([`Node::read`]): a place in the file is kept through that, too.

use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::value::{Error, MapDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeOwned, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::{AT, At, Problems};

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Line, from 1; 0 for what stands nowhere.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing, or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// Another number.
    Float(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file. A key may stand in it more than once.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// A node that stands nowhere.
    #[must_use]
    pub fn made(value: Value) -> Self {
        Self { line: 0, column: 0, value }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// Its place, to add a problem there.
    #[must_use]
    pub fn place(&self) -> At<()> {
        At { value: (), line: self.line, column: self.column }
    }

    /// It as a type. The error says no place: the tree has been checked before.
    pub fn read<T: DeserializeOwned>(self) -> Result<T, String> {
        T::deserialize(self).map_err(|error| error.to_string())
    }
}

/// Parses one strict YAML document into a tree. Only what is no YAML is an error.
pub fn parse(file: &Path, text: &str) -> Result<Node, Problems> {
    let mut options = super::options();
    // Said with everything else.
    options.duplicate_keys = serde_saphyr::DuplicateKeyPolicy::LastWins;
    options.non_finite_float_policy = serde_saphyr::NonFiniteFloatPolicy::PassThrough;
    super::read_with(file, text, options)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let At { value, line, column } = At::<Value>::deserialize(deserializer)?;
        Ok(Self { line, column, value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_some<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(Self)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }
    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }
    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(Value::Integer(i128::try_from(value).unwrap_or(i128::MAX)))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(one) = access.next_element()? {
            list.push(one);
        }
        Ok(Value::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(pair) = access.next_entry()? {
            list.push(pair);
        }
        Ok(Value::Map(list))
    }
}

impl IntoDeserializer<'_> for Node {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> de::Deserializer<'de> for Node {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Integer(value) => match (i64::try_from(value), u64::try_from(value)) {
                (Ok(value), _) => visitor.visit_i64(value),
                (_, Ok(value)) => visitor.visit_u64(value),
                _ => visitor.visit_i128(value),
            },
            Value::Float(value) => visitor.visit_f64(value),
            Value::Text(text) => visitor.visit_string(text),
            Value::List(list) => visitor.visit_seq(SeqDeserializer::new(list.into_iter())),
            Value::Map(list) => visitor.visit_map(MapDeserializer::new(list.into_iter())),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.value == Value::Null { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        if name == AT {
            let place = [self.line, self.column].map(|n| Self::made(Value::Integer(n.into())));
            let [line, column] = place;
            return visitor.visit_seq(SeqDeserializer::new([line, column, self].into_iter()));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.value {
            Value::Map(mut list) if list.len() == 1 => {
                let Some((key, value)) = list.pop() else { return Err(de::Error::custom("an empty choice")) };
                visitor.visit_enum(Choice { key, value })
            }
            value => {
                let key = Self { value, ..self };
                visitor.visit_enum(Choice { key, value: Self::made(Value::Null) })
            }
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// One of several, with its content.
struct Choice {
    key: Node,
    value: Node,
}

impl<'de> EnumAccess<'de> for Choice {
    type Error = Error;
    type Variant = Node;
    fn variant_seed<V: de::DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Node), Error> {
        Ok((seed.deserialize(self.key)?, self.value))
    }
}

impl<'de> VariantAccess<'de> for Node {
    type Error = Error;
    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }
    fn newtype_variant_seed<T: de::DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self)
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_any(self, visitor)
    }
    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_any(self, visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    enum Way {
        Plain,
        #[serde(rename = "key")]
        Key(String),
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Doc {
        name: At<String>,
        ports: Vec<At<u16>>,
        ways: Vec<Way>,
        #[serde(default)]
        limit: Option<At<f64>>,
    }

    #[test]
    fn a_tree_keeps_places_and_reads_as_a_type() {
        let text = "name: a\nports: [1,\n  22]\nways: [Plain, {key: k}]\nlimit: 2\n";
        let node = parse(Path::new("a.yaml"), text).unwrap();
        let doc: Doc = node.read().unwrap();
        assert_eq!((doc.name.value.as_str(), doc.name.line, doc.name.column), ("a", 1, 7));
        assert_eq!((doc.ports[1].value, doc.ports[1].line, doc.ports[1].column), (22, 3, 3));
        assert_eq!(doc.ways, [Way::Plain, Way::Key("k".into())]);
        assert!((doc.limit.unwrap().value - 2.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_key_that_stands_twice_is_in_the_tree_twice_with_both_places() {
        let Value::Map(list) = parse(Path::new("a.yaml"), "a: 1\nb: 1.30\na: x\n").unwrap().value else {
            panic!("no mapping")
        };
        let keys: Vec<(Option<&str>, u64)> = list.iter().map(|(key, _)| (key.text(), key.line)).collect();
        assert_eq!(keys, [(Some("a"), 1), (Some("b"), 2), (Some("a"), 3)]);
        assert_eq!(list[1].1.value, Value::Float(1.3));
    }

    #[test]
    fn what_is_no_yaml_or_multiplies_is_refused() {
        for text in ["a: [b\n", "a: b\n---\nc: d\n", "a: !!python/object x\n", "a:\n\tb: c\n", "a: &b [*b]\n"] {
            assert!(parse(Path::new("a.yaml"), text).is_err(), "{text:?}");
        }
    }
}
