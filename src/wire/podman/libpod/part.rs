//! A part of a specification that knows where it stands, so that whatever is wrong with it can be said with its place.

use serde_json::Value;

use crate::wire::{
    field::{Field, Step},
    podspec::reader,
};

/// What can't be done, and where it stands in the specification.
pub(in crate::wire) type Problem = (Field, String);

static ABSENT: Value = Value::Null;

#[derive(Debug, Clone)]
pub(super) struct Part<'a> {
    pub(super) value: &'a Value,
    pub(super) at: Field,
}

impl<'a> Part<'a> {
    pub(super) fn whole(value: &'a Value) -> Self {
        Self { value, at: Field::default() }
    }

    pub(super) fn get(&self, key: &str) -> Self {
        Self { value: self.value.get(key).unwrap_or(&ABSENT), at: self.at.then(key) }
    }

    pub(super) fn is_absent(&self) -> bool {
        self.value.is_null()
    }

    /// The members of a list.
    pub(super) fn items(&self) -> impl Iterator<Item = Self> + use<'a> {
        let at = self.at.clone();
        let items = self.value.as_array().into_iter().flatten().enumerate();
        items.map(move |(index, value)| Self { value, at: at.then(index) })
    }

    pub(super) fn problem<T>(&self, message: impl Into<String>) -> Result<T, Problem> {
        Err((self.at.clone(), message.into()))
    }

    /// The same about one of its fields.
    pub(super) fn problem_at<T>(
        &self,
        step: impl Into<Step>,
        message: impl Into<String>,
    ) -> Result<T, Problem> {
        Err((self.at.then(step), message.into()))
    }

    pub(super) fn text(&self) -> Result<Option<&'a str>, Problem> {
        match self.value {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text)),
            _ => self.problem("must be a text"),
        }
    }

    /// A text that must be there.
    pub(super) fn needed(&self) -> Result<&'a str, Problem> {
        match self.text()?.filter(|text| !text.is_empty()) {
            Some(text) => Ok(text),
            None => self.problem("is missing"),
        }
    }

    pub(super) fn texts(&self) -> Result<Vec<String>, Problem> {
        match self.value {
            Value::Null | Value::Array(_) => {
                self.items().map(|item| Ok(item.text()?.unwrap_or_default().to_owned())).collect()
            }
            _ => self.problem("must be a list of texts"),
        }
    }

    pub(super) fn flag(&self) -> Result<Option<bool>, Problem> {
        match reader::flag(self.value) {
            None if !self.is_absent() => self.problem("must be true or false"),
            flag => Ok(flag),
        }
    }

    pub(super) fn is_set(&self) -> Result<bool, Problem> {
        Ok(self.flag()?.unwrap_or(false))
    }

    pub(super) fn number(&self) -> Result<Option<i64>, Problem> {
        match self.value {
            Value::Null => Ok(None),
            Value::Number(number) if number.is_i64() => Ok(number.as_i64()),
            _ => self.problem("must be a whole number"),
        }
    }

    /// A number of a user, a group.
    pub(super) fn id(&self) -> Result<Option<u32>, Problem> {
        let Some(number) = self.number()? else { return Ok(None) };
        match u32::try_from(number) {
            Ok(id) if id <= i32::MAX.unsigned_abs() => Ok(Some(id)),
            _ => self.problem("must be from 0 to 2147483647"),
        }
    }
}
