//! Objects as s3s-fs keeps them, and what it has not: rights, versions, missing buckets.

use std::io;
use std::path::{Path, PathBuf};

use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{Credentials, S3Auth, SecretKey};
use s3s::dto::{
    BucketVersioningStatus, DeleteMarkerEntry, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput,
    DeleteObjectsOutput, DeletedObject, Error, ExpirationStatus, GetBucketLifecycleConfigurationInput,
    GetBucketLifecycleConfigurationOutput, GetBucketPolicyStatusInput, GetBucketPolicyStatusOutput,
    GetBucketVersioningInput, GetBucketVersioningOutput, GetObjectInput, GetObjectLockConfigurationInput,
    GetObjectLockConfigurationOutput, GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput,
    HeadObjectOutput, LifecycleExpiration, LifecycleRule, ListObjectVersionsInput, ListObjectVersionsOutput,
    ListObjectsV2Input, ListObjectsV2Output, ObjectLockConfiguration, ObjectLockEnabled, ObjectVersion,
    PolicyStatus, PutObjectInput, PutObjectOutput,
};
use s3s::path::S3Path;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;

use super::{Settings, User};

fn settings(folder: &Path) -> Settings {
    let text = std::fs::read_to_string(folder.join("settings.json")).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// What the names of AWS call the right to do something.
fn action(operation: &str) -> &str {
    match operation {
        "HeadObject" => "GetObject",
        "ListObjects" | "ListObjectsV2" | "HeadBucket" => "ListBucket",
        "ListObjectVersions" => "ListBucketVersions",
        "GetBucketLifecycleConfiguration" => "GetLifecycleConfiguration",
        "GetObjectLockConfiguration" => "GetBucketObjectLockConfiguration",
        other => other,
    }
}

impl User {
    fn may(&self, action: &str) -> bool {
        self.actions.contains("*") || self.actions.contains(&format!("s3:{action}"))
    }
}

/// Who they are, and what they may.
pub(super) struct Access {
    folder: PathBuf,
}

impl Access {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }
}

#[async_trait::async_trait]
impl S3Auth for Access {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match settings(&self.folder).users.get(access_key) {
            Some(user) => Ok(SecretKey::from(user.secret.as_str())),
            None => Err(s3_error!(InvalidAccessKeyId)),
        }
    }
}

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let settings = settings(&self.folder);
        let action = action(cx.s3_op().name());
        let Some(who) = cx.credentials() else {
            let is_read = matches!(action, "GetObject" | "ListBucket");
            let bucket = match cx.s3_path() {
                S3Path::Bucket { bucket } | S3Path::Object { bucket, .. } => bucket.to_string(),
                S3Path::Root => String::new(),
            };
            let is_open = is_read && settings.public.contains(&bucket);
            return if is_open { Ok(()) } else { Err(s3_error!(AccessDenied)) };
        };
        let user = settings.users.get(&who.access_key).ok_or_else(|| s3_error!(AccessDenied))?;
        // Of several, each is answered by itself.
        let action = if action == "DeleteObjects" { "DeleteObject" } else { action };
        let is_below = match cx.s3_path() {
            S3Path::Object { key, .. } => key.starts_with(&user.prefix),
            _ => true,
        };
        if is_below && user.may(action) { Ok(()) } else { Err(s3_error!(AccessDenied)) }
    }
}

/// One version of an object, or what says that it was deleted.
struct Version {
    key: String,
    id: String,
    is_marker: bool,
    path: PathBuf,
}

/// All versions of a bucket, by name of the object, each's newest first.
fn versions(folder: &Path, bucket: &str) -> Vec<Version> {
    let mut all = Vec::new();
    let keys = std::fs::read_dir(folder.join("versions").join(bucket)).into_iter().flatten().flatten();
    for entry in keys {
        let key = entry.file_name().to_string_lossy().replace("%2F", "/");
        for version in std::fs::read_dir(entry.path()).into_iter().flatten().flatten() {
            let name = version.file_name().to_string_lossy().into_owned();
            let id = name.trim_end_matches(".marker").to_owned();
            let is_marker = name.ends_with(".marker");
            all.push(Version { key: key.clone(), id, is_marker, path: version.path() });
        }
    }
    all.sort_by(|a, b| (&a.key, &b.id).cmp(&(&b.key, &a.id)));
    all
}

/// The same, as their ids.
pub(super) fn all_versions(folder: &Path, bucket: &str) -> Vec<String> {
    versions(folder, bucket).into_iter().map(|version| version.id).collect()
}

/// Keeps what an object is now, or that it is deleted, as its newest version.
pub(super) fn keep(folder: &Path, bucket: &str, key: &str, is_marker: bool) -> io::Result<String> {
    let place = folder.join("versions").join(bucket).join(key.replace('/', "%2F"));
    let id = clawexchange_ssg_core::EventId::fresh().to_string();
    std::fs::create_dir_all(&place)?;
    if is_marker {
        std::fs::write(place.join(format!("{id}.marker")), "")?;
    } else {
        std::fs::copy(folder.join("root").join(bucket).join(key), place.join(&id))?;
    }
    Ok(id)
}

/// What the server keeps.
pub(super) struct Backend {
    folder: PathBuf,
    files: FileSystem,
}

impl Backend {
    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    pub(super) fn new(folder: &Path) -> Self {
        let files = FileSystem::new(folder.join("root")).expect("the folder is there");
        Self { folder: folder.to_owned(), files }
    }

    fn settings(&self) -> Settings {
        settings(&self.folder)
    }

    /// Refuses what is asked of a bucket that is not there.
    fn is_there(&self, bucket: &str) -> S3Result<()> {
        if self.folder.join("root").join(bucket).is_dir() { Ok(()) } else { Err(s3_error!(NoSuchBucket)) }
    }

    fn file(&self, bucket: &str, key: &str) -> PathBuf {
        self.folder.join("root").join(bucket).join(key)
    }

    /// Takes one version away.
    fn forget(&self, bucket: &str, key: &str, id: &str) {
        let place = self.folder.join("versions").join(bucket).join(key.replace('/', "%2F"));
        for name in [id.to_owned(), format!("{id}.marker")] {
            let _may_be_gone = std::fs::remove_file(place.join(name));
        }
    }

    /// Makes what is now the newest version of an object the object.
    fn renew(&self, bucket: &str, key: &str) -> io::Result<()> {
        let (file, all) = (self.file(bucket, key), versions(&self.folder, bucket));
        match all.iter().find(|version| version.key == key).filter(|newest| !newest.is_marker) {
            Some(newest) => std::fs::copy(&newest.path, &file).map(drop),
            None => {
                let _may_be_gone = std::fs::remove_file(file);
                Ok(())
            }
        }
    }

    async fn delete_one(
        &self,
        who: Option<&Credentials>,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> S3Result<()> {
        let settings = self.settings();
        let action = if version.is_some() { "DeleteObjectVersion" } else { "DeleteObject" };
        let user = who.and_then(|who| settings.users.get(&who.access_key));
        if !user.is_some_and(|user| user.may(action) && key.starts_with(&user.prefix))
            || settings.undeletable.contains(key)
        {
            return Err(s3_error!(AccessDenied));
        }
        let is_versioned = settings.versioned.contains(bucket);
        match version {
            Some(id) if is_versioned => {
                self.forget(bucket, key, id);
                Ok(())
            }
            Some("null") | None => {
                let input =
                    DeleteObjectInput::builder().bucket(bucket.to_owned()).key(key.to_owned()).build();
                let input = input.map_err(S3Error::internal_error)?;
                self.files.delete_object(request(input)).await?;
                if is_versioned {
                    keep(&self.folder, bucket, key, true).map_err(S3Error::internal_error)?;
                }
                Ok(())
            }
            Some(_) => Ok(()),
        }
    }
}

/// A request of the server to itself.
fn request<T>(input: T) -> S3Request<T> {
    S3Request {
        input,
        method: hyper::Method::GET,
        uri: hyper::Uri::default(),
        headers: hyper::HeaderMap::default(),
        extensions: hyper::http::Extensions::default(),
        credentials: None,
        region: None,
        service: None,
        trailing_headers: None,
    }
}

#[async_trait::async_trait]
impl S3 for Backend {
    async fn put_object(&self, mut req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        self.is_there(&req.input.bucket)?;
        let settings = self.settings();
        if req.input.if_none_match.is_some() {
            if settings.refuses_conditions {
                return Err(s3_error!(NotImplemented));
            }
            if settings.ignores_conditions {
                req.input.if_none_match = None;
            }
        }
        let (bucket, key) = (req.input.bucket.clone(), req.input.key.clone());
        let mut done = self.files.put_object(req).await?;
        if settings.versioned.contains(&bucket) {
            done.output.version_id =
                Some(keep(&self.folder, &bucket, &key, false).map_err(S3Error::internal_error)?);
        }
        Ok(done)
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        self.is_there(&req.input.bucket)?;
        self.files.get_object(req).await
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        self.files.head_object(req).await
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.files.head_bucket(req).await
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.files.list_objects_v2(req).await
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let (who, of) = (req.credentials.as_ref(), &req.input);
        self.is_there(&of.bucket)?;
        self.delete_one(who, &of.bucket, &of.key, of.version_id.as_deref()).await?;
        if of.version_id.is_some() {
            self.renew(&of.bucket, &of.key).map_err(S3Error::internal_error)?;
        }
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.is_there(&req.input.bucket)?;
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for object in &req.input.delete.objects {
            let (key, id) = (object.key.clone(), object.version_id.clone());
            let who = req.credentials.as_ref();
            match self.delete_one(who, &req.input.bucket, &key, id.as_deref()).await {
                Ok(()) => {
                    deleted.push(DeletedObject {
                        key: Some(key),
                        version_id: id,
                        ..DeletedObject::default()
                    });
                }
                Err(error) => errors.push(Error {
                    code: Some(error.code().as_str().to_owned()),
                    key: Some(key),
                    version_id: id,
                    ..Error::default()
                }),
            }
        }
        let of_versions = req.input.delete.objects.iter().filter(|object| object.version_id.is_some());
        let keys: std::collections::BTreeSet<&String> = of_versions.map(|object| &object.key).collect();
        for key in keys {
            self.renew(&req.input.bucket, key).map_err(S3Error::internal_error)?;
        }
        let output = DeleteObjectsOutput {
            deleted: Some(deleted),
            errors: Some(errors),
            ..DeleteObjectsOutput::default()
        };
        Ok(S3Response::new(output))
    }

    async fn list_object_versions(
        &self,
        req: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        self.is_there(&req.input.bucket)?;
        let prefix = req.input.prefix.clone().unwrap_or_default();
        let after = (req.input.key_marker.clone().unwrap_or_default(), req.input.version_id_marker.clone());
        let at_most = usize::try_from(req.input.max_keys.unwrap_or(1000)).unwrap_or(1000);
        let all = versions(&self.folder, &req.input.bucket);
        // Newest first, so a later id comes before.
        let mut wanted: Vec<&Version> = all.iter().filter(|v| v.key.starts_with(&prefix)).collect();
        wanted.retain(|v| match &after.1 {
            Some(id) => v.key > after.0 || (v.key == after.0 && v.id < *id),
            None => v.key > after.0,
        });
        let is_truncated = wanted.len() > at_most;
        wanted.truncate(at_most);
        let (mut output, mut last) = (ListObjectVersionsOutput::default(), String::new());
        let (mut found, mut markers) = (Vec::new(), Vec::new());
        for version in &wanted {
            let is_latest = Some(last != version.key);
            last.clone_from(&version.key);
            let (key, version_id) = (Some(version.key.clone()), Some(version.id.clone()));
            if version.is_marker {
                markers.push(DeleteMarkerEntry { is_latest, key, version_id, ..Default::default() });
            } else {
                found.push(ObjectVersion { is_latest, key, version_id, ..Default::default() });
            }
        }
        if is_truncated && let Some(last) = wanted.last() {
            output.next_key_marker = Some(last.key.clone());
            output.next_version_id_marker = Some(last.id.clone());
        }
        output.is_truncated = Some(is_truncated);
        output.versions = Some(found);
        output.delete_markers = Some(markers);
        Ok(S3Response::new(output))
    }

    async fn get_bucket_versioning(
        &self,
        req: S3Request<GetBucketVersioningInput>,
    ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        self.is_there(&req.input.bucket)?;
        let is_versioned = self.settings().versioned.contains(&req.input.bucket);
        let status =
            is_versioned.then(|| BucketVersioningStatus::from_static(BucketVersioningStatus::ENABLED));
        Ok(S3Response::new(GetBucketVersioningOutput { status, mfa_delete: None }))
    }

    async fn get_bucket_policy_status(
        &self,
        req: S3Request<GetBucketPolicyStatusInput>,
    ) -> S3Result<S3Response<GetBucketPolicyStatusOutput>> {
        self.is_there(&req.input.bucket)?;
        let is_public = self.settings().public.contains(&req.input.bucket);
        let policy_status = Some(PolicyStatus { is_public: Some(is_public) });
        Ok(S3Response::new(GetBucketPolicyStatusOutput { policy_status }))
    }

    async fn get_bucket_lifecycle_configuration(
        &self,
        req: S3Request<GetBucketLifecycleConfigurationInput>,
    ) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
        self.is_there(&req.input.bucket)?;
        if !self.settings().expiring.contains(&req.input.bucket) {
            let code = S3ErrorCode::Custom("NoSuchLifecycleConfiguration".into());
            let mut error = S3Error::new(code);
            error.set_status_code(hyper::StatusCode::NOT_FOUND);
            return Err(error);
        }
        let rule = LifecycleRule {
            expiration: Some(LifecycleExpiration { days: Some(1), ..Default::default() }),
            status: ExpirationStatus::from_static(ExpirationStatus::ENABLED),
            abort_incomplete_multipart_upload: None,
            filter: None,
            id: None,
            noncurrent_version_expiration: None,
            noncurrent_version_transitions: None,
            prefix: Some(String::new()),
            transitions: None,
        };
        let output = GetBucketLifecycleConfigurationOutput { rules: Some(vec![rule]), ..Default::default() };
        Ok(S3Response::new(output))
    }

    async fn get_object_lock_configuration(
        &self,
        req: S3Request<GetObjectLockConfigurationInput>,
    ) -> S3Result<S3Response<GetObjectLockConfigurationOutput>> {
        self.is_there(&req.input.bucket)?;
        if !self.settings().locking.contains(&req.input.bucket) {
            let code = S3ErrorCode::Custom("ObjectLockConfigurationNotFoundError".into());
            let mut error = S3Error::new(code);
            error.set_status_code(hyper::StatusCode::NOT_FOUND);
            return Err(error);
        }
        let enabled = ObjectLockEnabled::from_static(ObjectLockEnabled::ENABLED);
        let object_lock_configuration =
            Some(ObjectLockConfiguration { object_lock_enabled: Some(enabled), rule: None });
        Ok(S3Response::new(GetObjectLockConfigurationOutput { object_lock_configuration }))
    }
}
