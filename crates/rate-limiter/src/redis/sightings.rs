//! Sightings in Redis, beside the counters.
//!
//! On one server a sighting is one call of one script for all of its places. In a cluster each place has its own slot, and
//! all are asked at once.

use std::sync::Arc;

use async_trait::async_trait;
use clawexchange_ssg_core::Sketch;
use deadpool_redis::redis::{Value, cmd};
use tokio::task::JoinSet;

use super::RedisStore;
use super::inner::Inner;
use super::keys::Key;
use super::link::Failure;
use crate::campaigns::{
    ENTRY_BYTES, Entry, RELEASED_MAX, RELEASED_MS, Seen, Sighting, SightingStore, Tally, is_fresh,
};
use crate::error::LimitError;
use crate::window::Tick;

/// Bytes of a text that was released: a moment and its SimHash.
const RELEASED_BYTES: usize = 5 + 16;

const DAMAGED: LimitError = LimitError::RedisDamaged { what: "is no place of campaigns" };

#[async_trait]
impl SightingStore for RedisStore {
    async fn see(&self, sighting: &Sighting) -> Result<Seen, LimitError> {
        let inner = &self.0;
        inner.start();
        let places = sighting.sketch.places().iter().enumerate();
        let keys: Vec<Key> = places.map(|(nth, place)| inner.keys.place(nth, *place)).collect();
        let what = Entry::new(Tick::ZERO, sighting).timeless_bytes();
        let mut tally = Tally::of(sighting);
        if inner.link.is_cluster() {
            let mut asked = JoinSet::new();
            for key in keys {
                let (inner, what) = (Arc::clone(inner), what.clone());
                asked.spawn(async move { look(&inner, &[key], what).await });
            }
            while let Some(answer) = asked.join_next().await {
                add(&mut tally, answer.unwrap_or(Err(Failure::Unconnected))?)?;
            }
        } else {
            add(&mut tally, look(inner, &keys, what).await?)?;
        }
        Ok(tally.seen())
    }

    async fn release(&self, bits: u128) -> Result<(), LimitError> {
        let inner = &self.0;
        inner.start();
        let (now, long, most) = (inner.time.told(), RELEASED_MS.to_string(), RELEASED_MAX.to_string());
        let args =
            [now.to_bytes().to_vec(), bits.to_be_bytes().to_vec(), long.into_bytes(), most.into_bytes()];
        inner.number(&inner.link.scripts.release, &[inner.keys.released()], &args).await.map(drop)
    }

    async fn is_released(&self, sketch: &Sketch) -> Result<bool, LimitError> {
        let inner = &self.0;
        inner.start();
        let mut command = cmd("GET");
        command.arg(&*inner.keys.released());
        let Some(texts) = inner.plain::<Option<Vec<u8>>>(&command).await? else { return Ok(false) };
        let now = inner.time.now();
        let (texts, []) = texts.as_chunks::<RELEASED_BYTES>() else { return Err(DAMAGED) };
        Ok(texts.iter().any(|text| {
            let [a, b, c, d, e, bits @ ..] = *text;
            is_fresh(Tick::from_bytes([a, b, c, d, e]), now) && sketch.is_near(u128::from_be_bytes(bits))
        }))
    }
}

async fn look(inner: &Inner, keys: &[Key], what: Vec<u8>) -> Result<Value, Failure> {
    let args = [inner.time.told().to_bytes().to_vec(), what];
    inner.run(&inner.link.scripts.see, keys, &args).await
}

/// Counts what the script said was there.
fn add(tally: &mut Tally<'_>, answer: Value) -> Result<(), LimitError> {
    let Value::Array(values) = answer else { return Err(DAMAGED) };
    let mut texts = values.into_iter().map(|value| match value {
        Value::BulkString(bytes) => Ok(bytes),
        _ => Err(DAMAGED),
    });
    let now = texts.next().ok_or(DAMAGED)??;
    let now = Tick::from_bytes(now.as_slice().try_into().ok().ok_or(DAMAGED)?);
    for place in texts {
        let place = place?;
        let (entries, []) = place.as_chunks::<ENTRY_BYTES>() else { return Err(DAMAGED) };
        let entries: Option<Vec<Entry>> = entries.iter().map(Entry::of_bytes).collect();
        tally.add(&entries.ok_or(DAMAGED)?, now);
    }
    Ok(())
}
