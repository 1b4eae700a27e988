//! Tiles and checkpoints as rows: in, and out again.

use std::collections::HashMap;
use std::ops::Range;

use clawexchange_database::{Dialect, Row, Statements, Tx};

use crate::error::AuditError;
use crate::leaf::{Hash, Log};
use crate::tile::Tile;
use crate::walk::bound;

/// Tiles by which they are, each as wide as it is stored.
#[derive(Default, Debug)]
pub(crate) struct Tiles(HashMap<(u8, u64), Vec<Hash>>);

impl Tiles {
    /// Reads some tiles of a log. What is not there is missing here, too.
    pub(crate) async fn read(on: &impl Statements, log: Log, wanted: &[Tile]) -> Result<Self, AuditError> {
        let mut tiles = Self::default();
        for tile in wanted {
            if let Some(hashes) = stored(on, log, tile).await? {
                tiles.0.insert((tile.level(), tile.index()), hashes);
            }
        }
        Ok(tiles)
    }

    /// The hashes of a tile.
    pub(crate) fn get(&self, tile: &Tile) -> Option<&[Hash]> {
        self.0.get(&(tile.level(), tile.index())).map(Vec::as_slice)
    }
}

/// The hashes of a tile as it is stored, whichever width was asked for.
pub(crate) async fn stored(
    on: &impl Statements,
    log: Log,
    tile: &Tile,
) -> Result<Option<Vec<Hash>>, AuditError> {
    let sql = "SELECT width, hashes FROM audit_tiles WHERE log = $1 AND level = $2 AND tile_index = $3";
    let values = [log.as_str().into(), i64::from(tile.level()).into(), bound(tile.index()).into()];
    on.row(sql, values).await?.map_or(Ok(None), |row| hashes(&row))
}

/// The hashes of the tiles of the lowest level that are between two, by their index, as [`stored`].
pub(crate) async fn stored_between(
    on: &impl Statements,
    log: Log,
    indexes: &Range<u64>,
) -> Result<HashMap<u64, Vec<Hash>>, AuditError> {
    let sql = "SELECT tile_index, width, hashes FROM audit_tiles \
               WHERE log = $1 AND level = 0 AND tile_index >= $2 AND tile_index < $3";
    let values = [log.as_str().into(), bound(indexes.start).into(), bound(indexes.end).into()];
    let mut tiles = HashMap::new();
    for row in on.rows(sql, values).await? {
        if let Some(hashes) = hashes(&row)? {
            tiles.insert(row.get_u64("tile_index")?, hashes);
        }
    }
    Ok(tiles)
}

/// `None` if a tile is not as wide as it says.
fn hashes(row: &Row) -> Result<Option<Vec<Hash>>, AuditError> {
    let bytes: Vec<u8> = row.get("hashes")?;
    let (hashes, rest) = bytes.as_chunks();
    let is_whole = rest.is_empty() && hashes.len() as u64 == row.get_u64("width")?;
    Ok(is_whole.then(|| hashes.to_vec()))
}

/// Writes tiles. What is there already, or wider, must begin with the same hashes.
pub(crate) async fn put_tiles(tx: &Tx, log: Log, tiles: &[(Tile, Vec<Hash>)]) -> Result<(), AuditError> {
    if tx.dialect() == Dialect::Postgres {
        let levels: Vec<i64> = tiles.iter().map(|(tile, _)| tile.level().into()).collect();
        let indexes: Vec<i64> = tiles.iter().map(|(tile, _)| bound(tile.index())).collect();
        let hashes: Vec<Vec<u8>> = tiles.iter().map(|(_, hashes)| hashes.concat()).collect();
        let sql = "SELECT CAST(audit_put_tiles($1, $2, $3, $4) AS TEXT) AS put";
        tx.row(sql, [log.as_str().into(), levels.into(), indexes.into(), hashes.into()]).await?;
        return Ok(());
    }
    for (tile, hashes) in tiles {
        put_tile(tx, log, tile, hashes).await?;
    }
    Ok(())
}

/// SQLite: one writer, so what is there stays as it was read.
async fn put_tile(tx: &Tx, log: Log, tile: &Tile, hashes: &[Hash]) -> Result<(), AuditError> {
    let there = stored(tx, log, tile).await?;
    let is_same =
        |(there, hashes): (&[Hash], &[Hash])| there.iter().zip(hashes).all(|(one, other)| one == other);
    if let Some(there) = &there {
        if !is_same((there, hashes)) {
            return Err(AuditError::altered(log, first_index(tile), "a tile has other hashes than the log"));
        }
        if there.len() >= hashes.len() {
            return Ok(());
        }
    }
    let sql = match there {
        Some(_) => {
            "UPDATE audit_tiles SET width = $4, hashes = $5 WHERE log = $1 AND level = $2 AND tile_index = $3"
        }
        None => "INSERT INTO audit_tiles (log, level, tile_index, width, hashes) VALUES ($1, $2, $3, $4, $5)",
    };
    let values = [
        log.as_str().into(),
        i64::from(tile.level()).into(),
        bound(tile.index()).into(),
        i64::from(tile.width()).into(),
        hashes.concat().into(),
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// The index of the first event that a tile stands over.
pub(crate) fn first_index(tile: &Tile) -> u64 {
    tile.index().checked_shl(8 * (u32::from(tile.level()) + 1)).unwrap_or(u64::MAX)
}

/// A checkpoint as its row says; nothing in it is checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CheckpointRow {
    pub(crate) size: u64,
    pub(crate) root: Hash,
    pub(crate) note: String,
    pub(crate) key_id: String,
    pub(crate) committed_us: i64,
}

const COLUMNS: &str = "size, root, note, key_id, committed_us FROM audit_checkpoints";

impl CheckpointRow {
    fn of(row: &Row) -> Result<Self, AuditError> {
        Ok(Self {
            size: row.get_u64("size")?,
            root: row.get_bytes("root")?,
            note: row.get("note")?,
            key_id: row.get("key_id")?,
            committed_us: row.get("committed_us")?,
        })
    }

    /// The newest one of a log.
    pub(crate) async fn newest(on: &impl Statements, log: Log) -> Result<Option<Self>, AuditError> {
        let sql = format!("SELECT {COLUMNS} WHERE log = $1 ORDER BY size DESC LIMIT 1");
        on.row(&sql, [log.as_str().into()]).await?.map(|row| Self::of(&row)).transpose()
    }

    /// Some of a log that are larger than `after`, smallest first.
    pub(crate) async fn some_after(
        on: &impl Statements,
        log: Log,
        after: u64,
    ) -> Result<Vec<Self>, AuditError> {
        let sql = format!("SELECT {COLUMNS} WHERE log = $1 AND size > $2 ORDER BY size LIMIT 500");
        let rows = on.rows(&sql, [log.as_str().into(), bound(after).into()]).await?;
        rows.iter().map(Self::of).collect()
    }

    /// Writes it. It must be larger than all before; the tables see to that, too.
    pub(crate) async fn put(&self, tx: &Tx, log: Log) -> Result<(), AuditError> {
        let values = [
            log.as_str().into(),
            bound(self.size).into(),
            self.root.to_vec().into(),
            self.note.as_str().into(),
            self.key_id.as_str().into(),
            self.committed_us.into(),
        ];
        match tx.dialect() {
            Dialect::Sqlite => {
                let sql = "INSERT INTO audit_checkpoints (log, size, root, note, key_id, committed_us) \
                           VALUES ($1, $2, $3, $4, $5, $6)";
                tx.execute(sql, values).await?;
            }
            Dialect::Postgres => {
                let sql = "SELECT CAST(audit_put_checkpoint($1, $2, $3, $4, $5, $6) AS TEXT) AS put";
                tx.row(sql, values).await?;
            }
        }
        Ok(())
    }
}

/// How many tiles of a level of a log are stored from `from` on.
pub(crate) async fn count_from(
    on: &impl Statements,
    log: Log,
    level: u8,
    from: u64,
) -> Result<u64, AuditError> {
    let sql = "SELECT COUNT(*) AS n FROM audit_tiles WHERE log = $1 AND level = $2 AND tile_index >= $3";
    let row = on.row(sql, [log.as_str().into(), i64::from(level).into(), bound(from).into()]).await?;
    row.map_or(Ok(0), |row| Ok(row.get_u64("n")?))
}
