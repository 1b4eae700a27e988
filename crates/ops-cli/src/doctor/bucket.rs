//! The bucket of held content: who is let in, and what becomes of what is deleted.

use clawexchange_quarantine::{BucketSays, QuarantineError, S3Store};

use super::elsewhere::NOT_USED;
use super::{Deployment, Found, Looked};

/// The bucket, where one is used.
fn bucket(deployment: &Deployment) -> Result<&S3Store, Found> {
    let bucket = deployment.parts().bucket()?;
    bucket.ok_or_else(|| Found::skip(format!("no S3: {NOT_USED}")))
}

/// What a bucket says of itself, or why it cannot be told.
fn said(
    says: Result<BucketSays, QuarantineError>,
    right: &str,
    yes: impl FnOnce() -> Found,
    no: impl FnOnce() -> Found,
) -> Looked {
    Ok(match says? {
        BucketSays::Yes => yes(),
        BucketSays::No => no(),
        BucketSays::NotForUs => {
            Found::unknown("the key may not ask", Some(&format!("give it {right}, or look with another key")))
        }
        _ => Found::unknown("the server does not know the question", None),
    })
}

pub(super) async fn answers(deployment: &Deployment) -> Looked {
    let bucket = bucket(deployment)?;
    bucket.probe().await?;
    let config = bucket.config();
    Ok(Found::ok(format!("{} of {} answers", config.bucket, config.endpoint)))
}

pub(super) async fn rights(deployment: &Deployment) -> Looked {
    let may = bucket(deployment)?.may_put_elsewhere().await?;
    Ok(if may {
        Found::warn(
            "the key may put objects beside those that are ours",
            "give it the rights that docs/deployment.md lists, on <prefix>quarantine/* alone",
        )
    } else {
        Found::ok("an object outside of our names was refused")
    })
}

pub(super) async fn anonymous(deployment: &Deployment) -> Looked {
    let is_open = bucket(deployment)?.is_open_to_anybody().await?;
    Ok(if is_open {
        Found::fail(
            "whoever has no key may list the bucket or read from it",
            "block public access to the bucket; what lies there is sealed, and its names tell how much is held",
        )
    } else {
        Found::ok("a request without a key was refused")
    })
}

pub(super) async fn policy(deployment: &Deployment) -> Looked {
    said(
        bucket(deployment)?.policy_is_public().await,
        "s3:GetBucketPolicyStatus",
        || {
            Found::fail(
                "the policy of the bucket lets the public in",
                "take that statement out of the policy",
            )
        },
        || Found::ok("no policy of the bucket lets the public in"),
    )
}

pub(super) async fn versions(deployment: &Deployment) -> Looked {
    said(
        bucket(deployment)?.is_versioned().await,
        "s3:GetBucketVersioning: without it nothing can be deleted",
        || {
            Found::warn(
                "the bucket keeps versions: each is deleted by itself, with a request more for each object",
                "switch versions off for this bucket, unless others need them",
            )
        },
        || Found::ok("the bucket keeps no versions"),
    )
}

pub(super) async fn rules(deployment: &Deployment) -> Looked {
    said(
        bucket(deployment)?.deletes_by_itself().await,
        "s3:GetLifecycleConfiguration",
        || {
            Found::fail(
                "a rule of the bucket deletes or moves objects, under a legal hold too",
                "take the rule away, or bound it to names that do not begin as ours do",
            )
        },
        || Found::ok("no rule deletes or moves objects"),
    )
}

pub(super) async fn lock(deployment: &Deployment) -> Looked {
    said(
        bucket(deployment)?.locks_objects().await,
        "s3:GetBucketObjectLockConfiguration",
        || {
            Found::warn(
                "the bucket locks objects: what is destroyed here may lie there on, unreadable without its key",
                "use a bucket without object lock; legal holds are kept in the database",
            )
        },
        || Found::ok("the bucket locks no objects"),
    )
}

/// How the bucket is connected to, if there is one.
pub(super) async fn tls(deployment: &Deployment) -> Result<Option<Found>, Found> {
    let Some(bucket) = deployment.parts().bucket()? else { return Ok(None) };
    if !bucket.config().is_tls() {
        return Ok(Some(Found::warn(
            "the connection to S3 is not encrypted",
            "begin S3_ENDPOINT with https://, and name a private authority in CLAW_S3_CA_FILE",
        )));
    }
    bucket.probe().await?;
    Ok(Some(Found::ok("S3 speaks TLS, with a certificate that names the host")))
}
