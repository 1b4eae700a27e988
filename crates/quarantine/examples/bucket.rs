//! Tries a bucket: what every object store must do, what is told apart, and how fast it is.
//!
//! ```sh
//! S3_ENDPOINT=… S3_BUCKET=… S3_ACCESS_KEY=… S3_SECRET_KEY=… S3_REGION=… \\
//!     cargo run -p clawexchange-quarantine --features s3 --example bucket
//! ```
//!
//! The bucket must be an empty one that nobody uses. `CLAW_S3_STYLE=host` puts its name before the host's.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "an example that cannot run fails, and says what it sees"
)]

use clawexchange_quarantine::{
    ObjectKey, ObjectStore as _, PutOutcome, S3Config, S3Store, object_store_conforms,
};
use clawexchange_ssg_core::Timestamp;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn config() -> S3Config {
    let [endpoint, bucket, access, secret] =
        ["S3_ENDPOINT", "S3_BUCKET", "S3_ACCESS_KEY", "S3_SECRET_KEY"].map(variable);
    let mut config = S3Config::new(endpoint, bucket, access, secret);
    config.region = variable("S3_REGION");
    config.path_style = variable("CLAW_S3_STYLE") != "host";
    config
}

fn key() -> ObjectKey {
    ObjectKey::fresh(Timestamp::from_micros(1_800_000_000_000_000))
}

/// An empty part of the bucket, each time another.
fn fresh() -> S3Store {
    let mut config = config();
    config.prefix = format!("try/{}/", clawexchange_ssg_core::EventId::fresh());
    S3Store::open(config).unwrap()
}

#[tokio::main]
async fn main() {
    let store = fresh();
    let taken = key();
    store.put_new(&taken, b"one".to_vec()).await.unwrap();
    let is_conditional = store.put_new(&taken, b"two".to_vec()).await.unwrap() == PutOutcome::Taken;
    println!("a name that is taken is refused: {is_conditional}");
    store.delete(&[taken]).await.remove(0).unwrap();
    if is_conditional {
        object_store_conforms(|| async { fresh() }).await;
        println!("it is an object store");
    }
    let key = key();
    store.put_new(&key, vec![7; 2 << 20]).await.unwrap();
    assert_eq!(store.get(&key, 2 << 20).await.unwrap().unwrap(), vec![7; 2 << 20]);
    println!(
        "2 MiB come back as they were; one byte too many: {:?}",
        store.get(&key, 100).await.unwrap_err().code()
    );
    println!("listed: {}", store.list(None, 10).await.unwrap() == std::slice::from_ref(&key));
    println!("versions: {:?}", store.is_versioned().await);
    store.delete(std::slice::from_ref(&key)).await.remove(0).unwrap();
    println!("deleted: {}", store.get(&key, 100).await.unwrap().is_none());
    println!("deleted again: {:?}", store.delete(&[key]).await);
    println!("public policy: {:?}", store.policy_is_public().await);
    println!("rules that delete: {:?}", store.deletes_by_itself().await);
    println!("object lock: {:?}", store.locks_objects().await);
    println!("open to anybody: {:?}", store.is_open_to_anybody().await);
    println!("puts elsewhere: {:?}", store.may_put_elsewhere().await);
    for (what, change) in [
        ("another secret", (|c| c.secret_key = zeroize::Zeroizing::new("0".repeat(64))) as fn(&mut S3Config)),
        ("an unknown key", |c| "GK000000000000000000000000".clone_into(&mut c.access_key)),
        ("another region", |c| "elsewhere-1".clone_into(&mut c.region)),
        ("no such bucket", |c| "there-is-no-such-bucket".clone_into(&mut c.bucket)),
    ] {
        let mut config = config();
        change(&mut config);
        let store = S3Store::open(config).unwrap();
        let answer = store.put_new(&self::key(), b"x".to_vec()).await;
        println!("{what}: {:?}", answer.map_err(|error| (error.code(), error.to_string(), error.hint())));
    }
}
