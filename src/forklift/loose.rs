//! Fields that take whatever they get: [`Loose`] is absent, a value, or wrong, but never an error.
//!
//! The shapes in `shapes` are made of these. A value of another form (a list where a text should be) is read to its end and
//! noted as wrong, so that the rest of the object survives.

use crate::plan::{Text, Time};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// A field that may be absent, of the right type, or of a wrong one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Loose<T> {
    #[default]
    Absent,
    Is(T),
    Wrong,
}

impl<T> Loose<T> {
    /// The value, if it has the right type.
    pub(super) fn value(self) -> Option<T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Absent | Self::Wrong => None,
        }
    }
}

/// A list whose items are loose too.
pub(super) type List<T> = Loose<Vec<Loose<T>>>;

/// What a type makes of each form of JSON value; by default nothing.
pub(super) trait Field: Sized {
    fn text(_: &str) -> Loose<Self> {
        Loose::Wrong
    }
    fn flag(_: bool) -> Loose<Self> {
        Loose::Wrong
    }
    fn number(_: f64) -> Loose<Self> {
        Loose::Wrong
    }
    fn map<'de, A: MapAccess<'de>>(mut map: A) -> Result<Loose<Self>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Loose::Wrong)
    }
    fn list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Loose<Self>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Loose::Wrong)
    }
}

impl<'de, T: Field> Deserialize<'de> for Loose<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Take(PhantomData))
    }
}

struct Take<T>(PhantomData<T>);

impl<'de, T: Field> Visitor<'de> for Take<T> {
    type Value = Loose<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }
    fn visit_unit<E>(self) -> Result<Loose<T>, E> {
        Ok(Loose::Absent)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Loose<T>, E> {
        Ok(T::flag(value))
    }
    #[allow(clippy::cast_precision_loss)]
    fn visit_i64<E>(self, value: i64) -> Result<Loose<T>, E> {
        Ok(T::number(value as f64))
    }
    #[allow(clippy::cast_precision_loss)]
    fn visit_u64<E>(self, value: u64) -> Result<Loose<T>, E> {
        Ok(T::number(value as f64))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Loose<T>, E> {
        Ok(T::number(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Loose<T>, E> {
        Ok(T::text(value))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Loose<T>, A::Error> {
        T::map(map)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Loose<T>, A::Error> {
        T::list(list)
    }
}

impl Field for Text {
    fn text(text: &str) -> Loose<Self> {
        Loose::Is(text.into())
    }
}

impl Field for bool {
    fn flag(flag: bool) -> Loose<Self> {
        Loose::Is(flag)
    }
}

/// Amounts and counts: what is below zero is wrong, what is beyond four bytes is cut to the most they hold.
impl Field for u32 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn number(number: f64) -> Loose<Self> {
        // `as` saturates.
        if number >= 0.0 { Loose::Is(number as u32) } else { Loose::Wrong }
    }
}

/// RFC 3339. An empty text stands for none: it occurs in real objects.
impl Field for Time {
    fn text(text: &str) -> Loose<Self> {
        match (text, Time::parse(text)) {
            ("", _) => Loose::Absent,
            (_, Some(time)) => Loose::Is(time),
            (_, None) => Loose::Wrong,
        }
    }
}

impl<T: Field> Field for Vec<Loose<T>> {
    fn list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Loose<Self>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Loose::Is(items))
    }
}

/// A map from texts, as labels are.
#[derive(Debug)]
pub(super) struct Entries<T>(pub(super) Vec<(Text, Loose<T>)>);

impl<T: Field> Field for Entries<T> {
    fn map<'de, A: MapAccess<'de>>(mut map: A) -> Result<Loose<Self>, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<std::borrow::Cow<'_, str>, Loose<T>>()? {
            entries.push((Text::from(&*key), value));
        }
        Ok(Loose::Is(Entries(entries)))
    }
}

/// Makes structs with `derive(Deserialize)` into fields that are JSON objects.
macro_rules! map {
    ($($name:ident),+ $(,)?) => {$(
        impl $crate::forklift::loose::Field for $name {
            fn map<'de, A: serde::de::MapAccess<'de>>(
                map: A,
            ) -> Result<$crate::forklift::loose::Loose<Self>, A::Error> {
                let object = serde::de::value::MapAccessDeserializer::new(map);
                serde::Deserialize::deserialize(object).map($crate::forklift::loose::Loose::Is)
            }
        }
    )+};
}
pub(super) use map;
