//! The tables of the first system, as its own migrations make them.

/// The sorts of columns that it has, and what PostgreSQL may call them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// A UUID.
    Uuid,
    /// A text of any length.
    Text,
    /// A word of a list that the database knows, or a text.
    Word,
    /// JSON of either sort.
    Json,
    /// A whole number.
    Integer,
    /// A number with decimals.
    Decimal,
    /// A moment. One without its zone would be read as of another.
    Moment,
}

impl Sort {
    /// Whether a column of this type, as `format_type` says it, is of this sort.
    pub(super) fn is(self, type_name: &str, is_enum: bool) -> bool {
        let base = type_name.split('(').next().unwrap_or(type_name);
        let is_text = matches!(base, "character varying" | "text");
        match self {
            Self::Uuid => base == "uuid",
            Self::Text => is_text,
            Self::Word => is_text || is_enum,
            Self::Json => matches!(base, "json" | "jsonb"),
            Self::Integer => matches!(base, "integer" | "bigint"),
            Self::Decimal => base == "numeric",
            // `timestamp(3) with time zone` has its digits in the middle.
            Self::Moment => base.starts_with("timestamp") && type_name.ends_with("with time zone"),
        }
    }
}

/// A table of it.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [(&'static str, Sort)],
}

/// All of them, in the order in which its guide makes them.
pub(super) const TABLES: [Table; 5] = [
    Table {
        name: "encryption_keys",
        columns: &[
            ("id", Sort::Uuid),
            ("encrypted_data_key", Sort::Text),
            ("iv", Sort::Text),
            ("auth_tag", Sort::Text),
            ("algorithm", Sort::Text),
            ("created_at", Sort::Moment),
        ],
    },
    Table {
        name: "quarantine_records",
        columns: &[
            ("id", Sort::Uuid),
            ("s3_key", Sort::Text),
            ("status", Sort::Word),
            ("tier", Sort::Text),
            ("labels", Sort::Json),
            ("content_type", Sort::Text),
            ("source_id", Sort::Text),
            ("encryption_key_id", Sort::Uuid),
            ("content_hash", Sort::Text),
            ("size_bytes", Sort::Integer),
            ("expires_at", Sort::Moment),
            ("reviewed_by", Sort::Text),
            ("reviewed_at", Sort::Moment),
            ("review_notes", Sort::Text),
            ("created_at", Sort::Moment),
            ("updated_at", Sort::Moment),
        ],
    },
    Table {
        name: "audit_logs",
        columns: &[
            ("id", Sort::Uuid),
            ("event_type", Sort::Text),
            ("actor_id", Sort::Text),
            ("actor_type", Sort::Text),
            ("target_id", Sort::Text),
            ("target_type", Sort::Text),
            ("ip_address", Sort::Text),
            ("metadata", Sort::Json),
            ("created_at", Sort::Moment),
        ],
    },
    Table {
        name: "rate_limit_configs",
        columns: &[
            ("id", Sort::Integer),
            ("endpoint_tier", Sort::Text),
            ("per_hour", Sort::Integer),
            ("burst_per_minute", Sort::Integer),
            ("created_at", Sort::Moment),
            ("updated_at", Sort::Moment),
        ],
    },
    Table {
        name: "tier_threshold_configs",
        columns: &[
            ("id", Sort::Integer),
            ("trust_level", Sort::Text),
            ("multiplier", Sort::Decimal),
            ("created_at", Sort::Moment),
            ("updated_at", Sort::Moment),
        ],
    },
];

/// Where some programs around it note which migrations have run. The first system itself notes nothing.
pub(super) const LEDGER: &str = "SequelizeMeta";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_of_a_sort_by_what_postgresql_calls_it() {
        for (sort, name, is_enum, fits) in [
            (Sort::Uuid, "uuid", false, true),
            (Sort::Uuid, "text", false, false),
            (Sort::Text, "character varying(255)", false, true),
            (Sort::Text, "text", false, true),
            (Sort::Text, "bytea", false, false),
            (Sort::Word, "enum_quarantine_records_status", true, true),
            (Sort::Word, "status", false, false),
            (Sort::Json, "json", false, true),
            (Sort::Json, "jsonb", false, true),
            (Sort::Decimal, "numeric(5,2)", false, true),
            (Sort::Decimal, "bigint", false, false),
            (Sort::Moment, "timestamp with time zone", false, true),
            (Sort::Moment, "timestamp(3) with time zone", false, true),
            (Sort::Moment, "timestamp without time zone", false, false),
            (Sort::Moment, "bigint", false, false),
        ] {
            assert_eq!(sort.is(name, is_enum), fits, "{sort:?} {name}");
        }
    }
}
