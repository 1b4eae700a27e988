//! Data on stdout: for people or as JSON.

use std::io::{IsTerminal as _, Write as _};

use clawexchange_ssg_core::Escaped;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use serde::Serialize;

use crate::report::CliError;

/// Writes a line to stdout.
pub(crate) fn line(text: &str) -> Result<(), CliError> {
    bytes(text.as_bytes())?;
    bytes(b"\n")
}

/// Writes bytes to stdout as they are.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), CliError> {
    std::io::stdout().lock().write_all(bytes).map_err(|e| CliError::io("write to stdout", e))
}

/// Sees to it that everything written is out.
pub(crate) fn flush() -> Result<(), CliError> {
    std::io::stdout().lock().flush().map_err(|e| CliError::io("write to stdout", e))
}

/// Writes a value as one line of JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string(value).map_err(|e| CliError::io("write JSON", e.into()))?;
    line(&text)
}

/// Says something to whoever runs the command, on stderr; nothing depends on its being heard.
pub(crate) fn say(text: &str) {
    let _heard = writeln!(std::io::stderr().lock(), "{text}");
}

/// Whether a person looks at stdout.
pub(crate) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// A table without lines; cells are escaped.
pub(crate) struct Rows(Table);

impl Rows {
    pub(crate) fn new(head: &[&str]) -> Self {
        let mut table = Table::new();
        table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(head.iter().map(|h| h.to_uppercase()).collect::<Vec<_>>());
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        Self(table)
    }

    /// Numbers stand to the right.
    pub(crate) fn right(mut self, column: usize) -> Self {
        if let Some(column) = self.0.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        self
    }

    pub(crate) fn row(&mut self, cells: &[&str]) {
        self.0.add_row(cells.iter().map(|cell| Escaped(cell).to_string()).collect::<Vec<_>>());
    }

    pub(crate) fn print(&self) -> Result<(), CliError> {
        for text in self.0.lines() {
            line(text.trim_end())?;
        }
        Ok(())
    }
}
