//! Where in a file something stands.

use std::ops::Range;

use serde::de::{DeserializeOwned, IntoDeserializer as _};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Lines of a text, for turning bytes into lines and columns.
pub(super) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// Line and character of a byte, both from 1.
    pub(super) fn place(&self, at: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= at).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let column = self.text.get(start..at).map_or(1, |before| before.chars().count() + 1);
        (line, column)
    }
}

/// A member of a table.
pub(super) struct Member<'a, 't> {
    pub(super) name: &'a str,
    pub(super) at: Range<usize>,
    pub(super) value: &'a Spanned<DeValue<'t>>,
}

/// The members of a table, in the order of the file.
pub(super) fn members<'a, 't>(table: &'a DeTable<'t>) -> Vec<Member<'a, 't>> {
    let mut all: Vec<_> =
        table.iter().map(|(key, value)| Member { name: key.get_ref(), at: key.span(), value }).collect();
    all.sort_by_key(|member| member.at.start);
    all
}

/// Where a member of a table stands, or an item of the list that it is; the table itself if it has no such member.
pub(super) fn of_member(table: &Spanned<DeValue<'_>>, name: &str, item: Option<usize>) -> usize {
    let DeValue::Table(members) = table.get_ref() else { return table.span().start };
    let Some((key, value)) = members.iter().find(|(key, _)| key.get_ref() == name) else {
        return table.span().start;
    };
    let item = item.and_then(|item| value.get_ref().as_array()?.get(item).map(|item| item.span().start));
    item.unwrap_or(key.span().start)
}

/// A value as a type of ours, or what is wrong with it and where.
pub(super) fn read<T: DeserializeOwned>(value: &Spanned<DeValue<'_>>) -> Result<T, (Range<usize>, String)> {
    T::deserialize(value.clone().into_deserializer()).map_err(|error: toml::de::Error| {
        let what = error.message().lines().next().unwrap_or_default().chars().take(300).collect();
        (error.span().unwrap_or_else(|| value.span()), what)
    })
}
