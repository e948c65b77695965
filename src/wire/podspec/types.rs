//! How the types of a specification are written down: as tables of their fields and words.

/// A mapping of Kubernetes' by its fields; the table of the same name has the fate of each. A field is called there
/// as here, but in camel case; where that isn't so, its name is said.
macro_rules! mapping {
    ($(#[$meta:meta])* $name:ident { $($field:ident: $type:ty $(= $key:literal)?),* $(,)? }) => {
        $(#[$meta])*
        #[allow(missing_docs)] // the fields are Kubernetes' own
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct $name { $(pub $field: $type,)* }

        impl $crate::wire::podspec::reader::Read for $name {
            fn read(value: &serde_json::Value, notes: &mut $crate::wire::podspec::reader::ReadContext) -> Self {
                let _fields = notes.expect_mapping(value, stringify!($name));
                Self { $($field: notes.read_field(_fields, $crate::wire::podspec::types::key!($field $($key)?)),)* }
            }

            #[cfg(test)]
            fn schema(schema: &mut $crate::wire::podspec::schema::Schema) -> serde_json::Value {
                use $crate::wire::podspec::{reader::Read, types::key};
                schema.mapping_ref(stringify!($name), |_schema| {
                    vec![$((key!($field $($key)?), <$type as Read>::schema(_schema))),*]
                })
            }
        }

        impl $name {
            /// The names of the fields that are read.
            #[cfg(test)]
            pub(in crate::wire) const KEYS: (&'static str, &'static [&'static str]) =
                (stringify!($name), &[$($crate::wire::podspec::types::key!($field $($key)?)),*]);
        }
    };
}

/// The word in a specification.
macro_rules! word {
    ($variant:ident $word:literal) => {
        $word
    };
    ($variant:ident) => {
        stringify!($variant)
    };
}

/// The name of a field in a specification.
macro_rules! key {
    ($field:ident $key:literal) => {
        $key
    };
    ($field:ident) => {{
        const SNAKE: &str = stringify!($field);
        const CAMEL: [u8; $crate::wire::podspec::types::camel_len(SNAKE)] =
            $crate::wire::podspec::types::camel(SNAKE);
        const KEY: &str = match std::str::from_utf8(&CAMEL) {
            Ok(name) => name,
            Err(_) => unreachable!(), // identifiers are ASCII here
        };
        KEY
    }};
}

/// How long it is in camel case.
pub(in crate::wire) const fn camel_len(snake: &str) -> usize {
    let (snake, mut at, mut len) = (snake.as_bytes(), 0, 0);
    while at < snake.len() {
        len += (snake[at] != b'_') as usize;
        at += 1;
    }
    len
}

/// `hostNetwork` of `host_network`.
pub(in crate::wire) const fn camel<const LEN: usize>(snake: &str) -> [u8; LEN] {
    let (snake, mut at, mut len) = (snake.as_bytes(), 0, 0);
    let mut camel = [0; LEN];
    while at < snake.len() {
        if snake[at] != b'_' {
            let is_first = at > 0 && snake[at - 1] == b'_';
            camel[len] = if is_first { snake[at].to_ascii_uppercase() } else { snake[at] };
            len += 1;
        }
        at += 1;
    }
    camel
}

/// One of a few words, called as here where nothing else is said; the first is what counts where none stands.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $first:ident $(= $first_word:literal)?, $($variant:ident $(= $word:literal)?),* $(,)? }) => {
        $(#[$meta])*
        #[allow(missing_docs)] // the words are Kubernetes' own
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
        pub enum $name { #[default] $first, $($variant,)* }

        impl $crate::wire::podspec::reader::Read for $name {
            const CAN_BE_EMPTY: bool = true;

            fn read(value: &serde_json::Value, notes: &mut $crate::wire::podspec::reader::ReadContext) -> Self {
                let number = notes.one_of_words(value, &[
                    $crate::wire::podspec::types::word!($first $($first_word)?),
                    $($crate::wire::podspec::types::word!($variant $($word)?)),*
                ]);
                [Self::$first, $(Self::$variant),*][number]
            }

            #[cfg(test)]
            fn schema(_: &mut $crate::wire::podspec::schema::Schema) -> serde_json::Value {
                serde_json::json!({ "enum": [
                    $crate::wire::podspec::types::word!($first $($first_word)?),
                    $($crate::wire::podspec::types::word!($variant $($word)?)),*
                ] })
            }
        }
    };
}

pub(in crate::wire) use {key, mapping, word, words};
