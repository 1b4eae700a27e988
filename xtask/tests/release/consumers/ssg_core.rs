//! Somebody who judges by a rule of their own.

use clawexchange_ssg_core::{
    Category, ContentEnvelope, Context, DetectionPlugin, Findings, Inspector, InspectorConfig, Pattern,
    PluginError, PluginRegistry, Verdict,
};

const SHOUTING: Pattern = Pattern::new("shouting", Category::Other, 60, &["SHOUTING"]);

struct Shouting;

impl DetectionPlugin for Shouting {
    fn id(&self) -> &'static str {
        "shouting"
    }

    fn analyze(&self, content: &ContentEnvelope, _: &Context) -> Result<Findings, PluginError> {
        let mut found = Findings::none();
        for field in content.fields() {
            if let Some(at) = field.text.find("!!!") {
                found.add(&SHOUTING, &field, at..at + 3, "!!!");
            }
        }
        Ok(found)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let plugins = PluginRegistry::new().with(Shouting)?;
    let inspector = Inspector::new(plugins, InspectorConfig::default());
    for (text, verdict) in [("buy now!!!", Verdict::Quarantine), ("for sale", Verdict::Pass)] {
        assert_eq!(inspector.inspect(&ContentEnvelope::post(text)?).await.verdict(), verdict, "{text}");
    }
    println!("works");
    Ok(())
}
