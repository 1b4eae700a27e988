//! What is read from where, and what is refused.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::file::FileValue;

pub(super) const KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

/// An environment and a file.
pub(super) struct Given {
    pub(super) folder: tempfile::TempDir,
    pub(super) sources: Sources,
}

impl Given {
    pub(super) fn env(env: &[(&str, &str)]) -> Self {
        let home = [("HOME", "/home/ann")];
        let env = home.iter().chain(env).map(|(name, value)| ((*name).into(), (*value).into()));
        Self { folder: tempfile::tempdir().unwrap(), sources: Sources::of_env(env) }
    }

    pub(super) fn file(text: &str) -> Self {
        Self::env(&[]).and_file(text)
    }

    pub(super) fn and_file(mut self, text: &str) -> Self {
        self.sources.config = Some(self.write("claw.toml", text));
        self
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.sources.env.insert(name.to_owned(), value.into());
        self
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(super) fn read(&self) -> Result<Settings, SettingsError> {
        Settings::read(&self.sources)
    }

    #[track_caller]
    pub(super) fn good(&self) -> Settings {
        self.read().unwrap()
    }

    /// The names of all problems, and what is said in all.
    #[track_caller]
    pub(super) fn bad(&self) -> (Vec<String>, String) {
        let error = self.read().unwrap_err();
        (error.problems.iter().map(|p| p.name.clone()).collect(), error.to_string())
    }

    #[track_caller]
    pub(super) fn refused(&self, name: &str, says: &str) {
        let (names, said) = self.bad();
        assert_eq!(names, [name], "{said}");
        assert!(said.contains(says), "{says:?} is not said: {said}");
    }
}

pub(super) fn origin(settings: &Settings, name: &str) -> (Origin, String) {
    let shown = settings.shown().iter().find(|s| s.name == name).unwrap();
    (shown.origin, shown.value.clone())
}

#[test]
fn nothing_set_is_the_embedded_default() {
    let settings = Given::env(&[]).good();
    assert_eq!(settings.environment, Environment::Development);
    assert_eq!(settings.data_dir, PathBuf::from("./claw-data"));
    assert_eq!(settings.state_dir, PathBuf::from("/home/ann/.local/state/claw"));
    assert!(matches!(settings.key, KeySource::Generated));
    assert_eq!(settings.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(settings.admin_listen, "127.0.0.1:9090".parse().unwrap());
    assert_eq!((settings.tls.clone(), settings.trusted_proxies.len()), (None, 0));
    assert_eq!((settings.connections_max, settings.requests_max), (1024, 256));
    let seconds = [settings.header_timeout, settings.body_timeout, settings.drain, settings.sweep_interval];
    assert_eq!(seconds, [10, 30, 25, 60].map(Duration::from_secs));
    assert_eq!((settings.expiry, settings.inline_bytes_max), (Duration::from_hours(72), 65_536));
    assert_eq!(settings.gate_mode, GateModes::default());
    assert!(settings.quarantine_enabled && settings.audit_enabled && !settings.safe_mode);
    assert_eq!(settings.healthchecks, None);
    assert_eq!(settings.thresholds, TierThresholds::default());
    assert_eq!(settings.bounds, EnvelopeBounds::default());
    assert_eq!(settings.content_types, ContentType::ALL);
    assert_eq!(settings.moderation.grant, Duration::from_mins(5));
    assert_eq!(settings.moderation.claim, Duration::from_mins(10));
    assert_eq!(settings.moderation.bot_release_permille.get(&RiskTier::High), Some(&950));
    assert_eq!(settings.moderation.bot_release_permille.get(&RiskTier::Critical), None);
    assert!(settings.notices().is_empty() && settings.unknown().is_empty());
}

#[test]
fn the_table_is_what_is_read() {
    let shown: BTreeSet<String> = Given::env(&[]).good().shown().iter().map(|s| s.name.clone()).collect();
    let table: BTreeSet<String> =
        table::all().filter(|s| !s.is_named()).map(|s| s.name().to_owned()).collect();
    assert_eq!(shown, table, "a setting is in the table and not read, or read and not in the table");
    let names: Vec<_> = table::all().flat_map(|s| [s.env, s.key]).flatten().collect();
    assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len(), "a name stands in the table twice");
    for part in table::all().flat_map(Setting::parts).filter(|part| part.starts_with('<')) {
        assert!(!table::names_of(part).is_empty(), "{part} stands for nothing");
    }
    assert_eq!(table::CONTENT_TYPES, ContentType::ALL.map(ContentType::as_str));
    assert_eq!(table::CATEGORIES, Category::ALL.map(Category::as_str));
    let detectors = clawexchange_detectors::Detectors::new(&BTreeMap::new()).unwrap();
    let plugins = detectors.register(clawexchange_ssg_core::PluginRegistry::new()).unwrap();
    let (known, ships): (BTreeSet<_>, BTreeSet<_>) = (table::PLUGINS.into(), plugins.ids().collect());
    assert_eq!(known, ships);
    assert!(detectors.rules().any(|rule| rule.id == "aws-access-key"), "the example of a rule that is said");
}

#[test]
fn every_default_is_within_the_bounds_of_its_setting() {
    for setting in table::all() {
        for environment in Environment::ALL {
            for profile in [PolicyProfile::Strict, PolicyProfile::Moderate, PolicyProfile::Permissive] {
                if let Ok(text) = setting.usual.of(environment, profile) {
                    let value = setting.kind.read_text(text).unwrap();
                    assert_eq!(value.to_string(), text, "{} is shown as it is written", setting.name());
                }
            }
        }
    }
}

#[test]
fn later_sources_win_and_are_named() {
    let mut given = Given::env(&[]);
    let listen = |given: &Given| origin(&given.good(), "CLAW_LISTEN");
    assert_eq!(listen(&given), (Origin::Default, "127.0.0.1:8080".to_owned()));
    given = given.and_file("[server]\nlisten = \"127.0.0.1:1\"");
    assert_eq!(listen(&given), (Origin::File, "127.0.0.1:1".to_owned()));
    given.sources.env.insert("CLAW_LISTEN".to_owned(), "127.0.0.1:2".into());
    assert_eq!(listen(&given), (Origin::Environment, "127.0.0.1:2".to_owned()));
    given.sources.listen = Some("127.0.0.1:3".parse().unwrap());
    assert_eq!(listen(&given), (Origin::Flag, "127.0.0.1:3".to_owned()));
    assert_eq!(given.good().listen, "127.0.0.1:3".parse().unwrap());
    given.sources.admin_listen = Some("127.0.0.1:4".parse().unwrap());
    assert_eq!(origin(&given.good(), "CLAW_ADMIN_LISTEN").0, Origin::Flag);
    given.sources.data_dir = Some("/data".into());
    assert_eq!(origin(&given.good(), "CLAW_DATA_DIR"), (Origin::Flag, "/data".to_owned()));
    assert_eq!(origin(&given.good(), "CLAW_CONFIG").0, Origin::Flag);
    given.sources.env.insert("CLAW_LISTEN".to_owned(), "".into());
    given.sources.listen = None;
    assert_eq!(listen(&given).0, Origin::File, "an empty variable counts as not set");
}

#[test]
fn a_bad_value_is_a_problem_though_another_source_wins() {
    let mut given = Given::env(&[("CLAW_LISTEN", "nowhere")]).and_file("[server]\nlisten = \"there\"");
    given.sources.listen = Some("127.0.0.1:3".parse().unwrap());
    assert_eq!(given.bad().0, ["CLAW_LISTEN", "server.listen"]);
}

#[test]
fn every_bounded_number_takes_its_ends_and_nothing_beyond() {
    for setting in table::all() {
        let value::Kind::Number { min, max, .. } = setting.kind else { continue };
        // The bounds of one setting that depend on another have tests of their own.
        let ends_are_judged_alone =
            !["tiers", "policy.text", "policy.body", "limits", "campaigns", "CLAW_DB_POOL_MIN", "DB_PORT"]
                .iter()
                .any(|prefix| setting.name().starts_with(prefix));
        for (number, good) in [(min, true), (max, true), (max + 1, false)] {
            if let Some(env) = setting.env {
                let given = Given::env(&[(env, &number.to_string())]);
                assert!(!ends_are_judged_alone || given.read().is_ok() == good, "{env}={number}");
                assert!(good || given.bad().0.iter().any(|name| name == env), "{env}={number}");
            }
            if let Some((table, last)) = setting.key.and_then(|key| key.rsplit_once('.')) {
                let given = Given::file(&format!("[{table}]\n{last} = {number}\n"));
                assert!(!ends_are_judged_alone || given.read().is_ok() == good, "{last} = {number}");
                assert!(good || given.bad().1.contains(&format!("{table}.{last} (line 2)")), "{last}");
            }
        }
        if let Some(below) = min.checked_sub(1) {
            assert!(setting.kind.read_toml(&FileValue::Integer(below.into())).is_err(), "{}", setting.name());
        }
    }
}

#[test]
fn the_bounds_are_the_documented_ones() {
    let bounds: BTreeSet<(String, u64, u64)> = table::all()
        .filter_map(|setting| match setting.kind {
            value::Kind::Number { min, max, .. } => Some((setting.name().to_owned(), min, max)),
            _ => None,
        })
        .collect();
    for (name, min, max) in [
        ("CLAW_CONNECTIONS_MAX", 1, 65_536),
        ("SECOPS_HEALTHCHECK_INTERVAL_MIN", 1, 1440),
        ("CLAW_SWEEP_INTERVAL_SECONDS", 5, 3600),
        ("moderation.grant_seconds", 30, 900),
        ("moderation.claim_minutes", 1, 60),
        ("policy.text_bytes_max", 1, 16 << 20),
        ("policy.body_bytes_max", 1, 32 << 20),
        ("QUARANTINE_EXPIRY_HOURS", 1, 8784),
    ] {
        assert!(bounds.contains(&(name.to_owned(), min, max)), "{name}");
    }
}

#[test]
fn rules_are_looked_for_at_least_as_far_as_they_count() {
    let levels = |file: &str| {
        let levels = Given::file(file).good().levels;
        (levels.level(), levels.detection())
    };
    assert_eq!(levels(""), (1, 2));
    assert_eq!(levels("policy.level = 2"), (2, 2));
    assert_eq!(levels("policy.level = 3"), (3, 3), "a level that counts is looked for");
    assert_eq!(levels("policy.detection_level = 1"), (1, 1));
    assert_eq!(levels("[policy]\nlevel = 2\ndetection_level = 4"), (2, 4));
    Given::file("[policy]\nlevel = 3\ndetection_level = 2").refused("CLAW_DETECTION_LEVEL", "policy.level");
    Given::file("policy.level = 5").refused("policy.level", "1 to 4");
    let given = Given::env(&[("CLAW_POLICY_LEVEL", "2"), ("CLAW_DETECTION_LEVEL", "3")]).good();
    assert_eq!((given.levels.level(), given.levels.detection()), (2, 3));
}

#[test]
fn what_the_vault_would_refuse_is_refused_here() {
    let mut config = clawexchange_quarantine::VaultConfig::default();
    config.expiry = Given::env(&[("QUARANTINE_EXPIRY_HOURS", "8784")]).good().expiry;
    config.inline_bytes_max =
        Given::env(&[("CLAW_QUARANTINE_INLINE_MAX", "1048576")]).good().inline_bytes_max as u64;
    config.grant_time = Given::file("[moderation]\ngrant_seconds = 900").good().moderation.grant;
    config.content_bytes_max =
        Given::file("[policy]\nbody_bytes_max = 33554432").good().bounds.body_bytes_max as u64;
    assert_eq!(config.check().map_err(|e| e.to_string()), Ok(()));
}

#[test]
fn presets_follow_the_environment() {
    for (env, healthchecks, format) in
        [("development", None, LogFormat::Human), ("staging", Some(5), LogFormat::Human)]
    {
        let settings = Given::env(&[("CLAW_ENV", env)]).good();
        assert_eq!(settings.healthchecks, healthchecks.map(Duration::from_mins), "{env}");
        assert_eq!(settings.log_format, format);
    }
    let production = |setting: &Setting| setting.usual.of(Environment::Production, PolicyProfile::Moderate);
    assert_eq!(production(&table::HEALTHCHECKS), Ok("true"));
    assert_eq!(production(&table::LOG_FORMAT), Ok("json"));
    assert_eq!(production(&table::ENFORCE_MODERATION), Ok("false"));
    Given::env(&[("CLAW_ENV", "prod")]).refused("CLAW_ENV", "development, staging or production");
    let chosen = Given::env(&[("CLAW_ENV", "staging"), ("SECOPS_ENABLE_HEALTHCHECKS", "off")]).good();
    assert_eq!(chosen.healthchecks, None);
}

#[test]
fn a_secret_comes_from_its_variable_or_its_file_and_not_from_both() {
    let given = Given::env(&[]);
    let path = given.write("key", &format!("{KEY}\n")).display().to_string();
    let settings = Given::env(&[("ENCRYPTION_MASTER_KEY_FILE", &path)]).good();
    assert!(matches!(settings.key, KeySource::Given(_)));
    assert_eq!(origin(&settings, "ENCRYPTION_MASTER_KEY"), (Origin::Environment, "(set)".to_owned()));
    let both = Given::env(&[("ENCRYPTION_MASTER_KEY_FILE", &path), ("ENCRYPTION_MASTER_KEY", KEY)]);
    both.refused("ENCRYPTION_MASTER_KEY", "set one of them");
    Given::env(&[("ENCRYPTION_MASTER_KEY_FILE", "/nonexistent")])
        .refused("ENCRYPTION_MASTER_KEY_FILE", "could not read /nonexistent");
    Given::env(&[("ENCRYPTION_MASTER_KEY_FILE", "/")])
        .refused("ENCRYPTION_MASTER_KEY_FILE", "could not read");
    Given::env(&[("ENCRYPTION_MASTER_KEY_FILE", "/dev/zero")])
        .refused("ENCRYPTION_MASTER_KEY_FILE", "larger than 64 KiB");
    let short = given.write("short", "c2hvcnQ=\n").display().to_string();
    let (_, said) = Given::env(&[("ENCRYPTION_MASTER_KEY_FILE", &short)]).bad();
    assert!(!said.contains("c2hvcnQ"), "{said}");
}

#[test]
fn master_keys_come_from_one_place() {
    let file = Given::env(&[("CLAW_KEYRING_FILE", "/run/secrets/ring")]).good();
    assert!(matches!(&file.key, KeySource::File(path) if path.ends_with("ring")));
    let command = Given::env(&[
        ("CLAW_KEY_COMMAND", "/usr/bin/ask-vault --mount transit"),
        ("CLAW_KEY_COMMAND_TIMEOUT", "3"),
        ("CLAW_WEEK_KEY_DIR", "/mnt/weeks"),
    ]);
    let command = command.good();
    let KeySource::Command { argv, deadline } = &command.key else { panic!("{:?}", command.key) };
    assert_eq!((argv.len(), *deadline), (3, Duration::from_secs(3)));
    assert_eq!(command.week_key_dir.as_deref(), Some(std::path::Path::new("/mnt/weeks")));
    Given::env(&[("CLAW_KEY_COMMAND", "ask-vault")]).refused("CLAW_KEY_COMMAND", "absolute path");
    let given = Given::env(&[]);
    let key_file = given.write("key", &format!("{KEY}\n")).display().to_string();
    let sources = [
        ("ENCRYPTION_MASTER_KEY", KEY),
        ("ENCRYPTION_MASTER_KEY_FILE", key_file.as_str()),
        ("CLAW_KEYRING_FILE", "/run/secrets/ring"),
        ("CLAW_KEY_COMMAND", "/usr/bin/ask-vault"),
    ];
    for (n, first) in sources.iter().enumerate() {
        for second in sources.iter().skip(n + 1) {
            let (_, said) = Given::env(&[*first, *second]).bad();
            assert!(said.contains("from one of them") || said.contains("set one of them"), "{said}");
        }
    }
}

#[test]
fn secrets_are_in_no_text_that_is_made_of_settings() {
    let settings = Given::env(&[("ENCRYPTION_MASTER_KEY", KEY)]).good();
    let shown = serde_json::to_string(settings.shown()).unwrap();
    for text in
        [format!("{settings:?}"), shown, Settings::reference(), Settings::example(Environment::Staging)]
    {
        assert!(!text.contains(KEY));
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    for (path, says) in
        [("/nonexistent.toml", "could not be read"), ("/", "could not be read"), ("/dev/zero", "larger than")]
    {
        let mut given = Given::env(&[("CLAW_CONFIG", path)]);
        given.refused(path, says);
        given.sources.env.clear();
        given.sources.env.insert("HOME".to_owned(), "/home/ann".into());
        given.sources.config = Some(path.into());
        given.refused(path, says);
    }
    let given = Given::file("x");
    let path = given.folder.path().join("claw.toml");
    std::fs::write(&path, b"[tiers]\n\xff").unwrap();
    given.refused(&path.display().to_string(), "not UTF-8 at byte 8");
}

#[test]
fn variables_that_are_not_utf8_are_named() {
    use std::os::unix::ffi::OsStringExt as _;
    for name in ["CLAW_LISTEN", "CLAW_DATA_DIR", "AUDIT_ENABLED", "ENCRYPTION_MASTER_KEY"] {
        let mut given = Given::env(&[]);
        given.sources.env.insert(name.to_owned(), OsString::from_vec(vec![b'a', 0xff]));
        given.refused(name, "it is not UTF-8");
    }
}

#[test]
fn certificate_and_key_go_together_and_are_tried() {
    let given = Given::env(&[]);
    let pem = given.write("pem", "PEM").display().to_string();
    Given::env(&[("CLAW_TLS_CERT_FILE", &pem)]).refused("CLAW_TLS_KEY_FILE", "set both or none");
    Given::env(&[("CLAW_TLS_KEY_FILE", &pem)]).refused("CLAW_TLS_CERT_FILE", "set both or none");
    let both = |key| Given::env(&[("CLAW_TLS_CERT_FILE", pem.as_str()), ("CLAW_TLS_KEY_FILE", key)]);
    both("/nonexistent").refused("CLAW_TLS_KEY_FILE", "could not read /nonexistent");
    both("/").refused("CLAW_TLS_KEY_FILE", "/ is no file");
    both("/dev/null").refused("CLAW_TLS_KEY_FILE", "is no file");
    assert_eq!(both(&pem).good().tls.unwrap().cert, PathBuf::from(&pem));
}

#[test]
fn two_addresses_are_two() {
    Given::env(&[("CLAW_LISTEN", "127.0.0.1:9090")]).refused("CLAW_ADMIN_LISTEN", "one each");
    let any = Given::env(&[("CLAW_LISTEN", "127.0.0.1:0"), ("CLAW_ADMIN_LISTEN", "127.0.0.1:0")]);
    assert_eq!(any.good().listen.port(), 0);
}

#[test]
fn the_gate_has_a_mode_for_each_type() {
    let file = "[gate]\nmode = \"shadow\"\n[gate.content_types]\nCOMMENT = \"enforce\"";
    let modes = Given::file(file).good().gate_mode;
    assert_eq!(
        (modes.of(ContentType::Comment), modes.of(ContentType::Post)),
        (GateMode::Enforce, GateMode::Shadow)
    );
    let modes = Given::env(&[("CLAW_GATE_MODE", "enforce")]).and_file(file).good().gate_mode;
    assert!(modes.shadowed().next().is_none(), "the environment wins over the file");
    Given::env(&[("CLAW_GATE_MODE", "watch")]).refused("CLAW_GATE_MODE", "enforce or shadow");
    Given::file("[gate.content_types]\nLETTER = \"shadow\"").refused("gate.content_types.LETTER", "nearest");
}

#[test]
fn profiles_and_safe_mode_move_the_tiers() {
    let thresholds = |text: &str| Given::file(text).good().thresholds;
    let tiers = |low, moderate, high, critical| TierThresholds::new(low, moderate, high, critical).unwrap();
    for (profile, expected) in [
        ("strict", tiers(1, 20, 45, 70)),
        ("moderate", tiers(1, 30, 60, 85)),
        ("permissive", tiers(1, 40, 75, 95)),
    ] {
        assert_eq!(thresholds(&format!("policy.profile = \"{profile}\"")), expected, "{profile}");
    }
    assert_eq!(thresholds("policy.profile = \"strict\"\ntiers.high = 50"), tiers(1, 20, 50, 70));
    assert_eq!(thresholds("policy.safe_mode = true"), tiers(1, 29, 30, 85));
    Given::file("policy.profile = \"lax\"").refused("policy.profile", "permissive");
    Given::file("tiers.moderate = 90").refused("tiers", "in order");
    Given::file("policy.safe_mode = true\ntiers.moderate = 2").refused("policy.safe_mode", "two above");
    Given::file("policy.safe_mode = true\ntiers.moderate = 90").refused("tiers", "in order");
}

#[test]
fn the_rest_of_the_policy_is_read() {
    let settings = Given::file(
        "[policy]\nallow_hosts = [\"Example.org\"]\ndeny_hosts = [\"*.zip\"]\ncontent_types = [\"MESSAGE\", \"POST\"]\n\
         text_bytes_max = 1000\nbody_bytes_max = 1000\nfields_max = 4096\ndepth_max = 64\n\
         [policy.categories]\ncredentials = \"redact\"\ninjection = \"block\"\nother = \"hold\"\n\
         [rules.aws-access-key]\nmode = \"shadow\"\n[plugins.secrets]\nenabled = false\n[plugins.attacks]\non_failure = \"ignore\"\n\
         [moderation.bot_delete_confidence]\nHIGH = \"0.9\"\nCRITICAL = \"never\"\nMODERATE = 700\n",
    )
    .good();
    assert_eq!(
        (settings.allow_hosts, settings.deny_hosts),
        (vec!["example.org".to_owned()], vec!["*.zip".to_owned()])
    );
    assert_eq!(settings.content_types, [ContentType::Post, ContentType::Message]);
    let bounds = &settings.bounds;
    let bounds = [bounds.text_bytes_max, bounds.body_bytes_max, bounds.fields_max, bounds.depth_max];
    assert_eq!(bounds, [1000, 1000, 4096, 64]);
    let actions: Vec<_> = settings.categories.into_iter().collect();
    let expected = [
        (Category::Credentials, CategoryActionSetting::Redact),
        (Category::Injection, CategoryActionSetting::Block),
        (Category::Other, CategoryActionSetting::Hold),
    ];
    assert_eq!(actions, expected);
    assert_eq!(settings.rules.get("aws-access-key"), Some(&RuleMode::Shadow));
    assert!(!settings.plugins["secrets"].enabled && settings.plugins["attacks"].enabled);
    assert_eq!(settings.plugins["attacks"].on_failure, PluginFailure::Ignore);
    let shares: Vec<_> = settings.moderation.bot_delete_permille.into_iter().collect();
    assert_eq!(shares, [(RiskTier::Moderate, 700), (RiskTier::High, 900)]);
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    for (text, name, says) in [
        (
            "[policy]\nallow_hosts = [\"a.org\"]\ndeny_hosts = [\"A.org\"]",
            "policy.deny_hosts",
            "a.org stands in",
        ),
        ("[policy]\ntext_bytes_max = 3000000", "policy.body_bytes_max", "at least policy.text_bytes_max"),
        ("[limits]\ninspect_bytes_per_hour = 1000", "limits.inspect_bytes_per_minute", "at most"),
    ] {
        Given::file(text).refused(name, says);
    }
}

#[test]
fn every_problem_is_said_at_once() {
    let (names, said) = Given::env(&[
        ("CLAW_LISTEN", "x"),
        ("CLAW_TRUSTED_PROXIES", "y"),
        ("ADMIN_USER_ID", "a b"),
        ("CLAW_AUDIT_OFF_REASON", "a\u{1b}[2J"),
        ("REDIS_URL", "redis://h:x"),
    ])
    .and_file("[tiers]\nlow = 0\nmoderat = 3\n[policy]\nprofile = 5\ndeny_hosts = [\"a b\"]")
    .bad();
    for name in [
        "CLAW_LISTEN",
        "CLAW_TRUSTED_PROXIES",
        "ADMIN_USER_ID",
        "CLAW_AUDIT_OFF_REASON",
        "REDIS_URL",
        "tiers.low",
        "tiers.moderat",
        "policy.profile",
        "policy.deny_hosts",
    ] {
        assert_eq!(names.iter().filter(|n| *n == name).count(), 1, "{name}: {said}");
    }
    assert_eq!(names.len(), 9, "{said}");
    assert!(said.contains("policy.profile (line 5)"), "{said}");
    assert!(!said.contains('\u{1b}'));
}

#[test]
fn without_a_home_there_is_no_place_for_keys() {
    let mut given = Given::env(&[("XDG_STATE_HOME", "relative")]);
    given.sources.env.remove("HOME");
    given.refused("XDG_STATE_HOME", "no place for keys");
    given.sources.env.insert("XDG_STATE_HOME".to_owned(), "/state".into());
    assert_eq!(given.good().state_dir, PathBuf::from("/state/claw"));
}

#[test]
fn names_that_look_like_ours_are_said() {
    for (name, nearest) in [
        ("CLAW_DATADIR", "CLAW_DATA_DIR"),
        ("SECOPS_ENABLE_HEALTHCHECK", "SECOPS_ENABLE_HEALTHCHECKS"),
        ("QUARANTINE_ENABLE", "QUARANTINE_ENABLED"),
        ("ENCRYPTION_MASTER_KEYS", "ENCRYPTION_MASTER_KEY"),
    ] {
        let unknown = Given::env(&[(name, "x")]).good().unknown().to_vec();
        assert_eq!(unknown, [format!("{name} is no setting of claw; the nearest is {nearest}")]);
    }
    for name in
        ["PATH", "LANG", "CLAW_TEST_X", "CLAW_CORPORA", "SECOPS_BACKUP_CRON", "DB_HOSTS", "QUARANTINE_ROOMS"]
    {
        assert!(Given::env(&[(name, "x")]).good().unknown().is_empty(), "{name}");
    }
}

/// A value of TOML, well or not.
fn toml_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        (0_i64..100_000).prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:?}")),
        any::<bool>().prop_map(|set| set.to_string()),
        "\\PC{0,12}",
        "\\PC{0,12}".prop_map(|text| format!("{text:?}")),
        "(block|hold|off|shadow|never|0\\.9|strict|10\\.0\\.0\\.0/8|\\*\\.a\\.org|POST)"
            .prop_map(|text| format!("{text:?}")),
        Just("1979-05-27T07:32:00Z".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec(inner, 0..3).prop_map(|items| {
                let members = items.iter().enumerate().map(|(at, item)| format!("k{at} = {item}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
            }),
        ]
    })
}

/// A key of a setting or of none.
fn toml_key() -> impl Strategy<Value = String> {
    let keys: Vec<String> = table::all()
        .filter(|setting| setting.key.is_some())
        .map(|setting| {
            let named =
                |part: &'static str| table::names_of(part).first().cloned().unwrap_or(part.to_owned());
            setting.parts().map(named).collect::<Vec<_>>().join(".")
        })
        .collect();
    prop_oneof![8 => prop::sample::select(keys), 1 => "[a-z_]{1,8}(\\.[a-z_]{1,8}){0,3}"]
}

proptest! {
    #[test]
    fn no_file_panics_and_what_is_said_of_it_is_one_line_a_problem(
        lines in prop::collection::vec((toml_key(), toml_value()), 0..8),
    ) {
        let text = lines.iter().fold(String::new(), |text, (key, value)| text + &format!("{key} = {value}\n"));
        if let Err(error) = Given::file(&text).read() {
            prop_assert_eq!(error.to_string().lines().count(), error.problems.len() + 1, "{}", error);
            prop_assert!(!error.to_string().chars().any(|c| c.is_control() && c != '\n'));
        }
    }

    #[test]
    fn no_variable_panics_and_no_refusal_quotes_it(at in any::<prop::sample::Index>(), text in "[!-~]{12,40}|\\PC{12,40}") {
        let names: Vec<_> = table::all().filter(|s| !matches!(s.kind, value::Kind::Path)).filter_map(|s| s.env).collect();
        let name = names[at.index(names.len())];
        if let Err(error) = Given::env(&[(name, &text)]).read() {
            prop_assert!(!error.to_string().contains(&text), "{}", error);
        }
    }
}
