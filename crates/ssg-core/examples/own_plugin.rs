//! A plugin of one's own: posts that are little more than links are held for somebody to look at.
//!
//! `cargo run --example own_plugin`
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use clawexchange_ssg_core::{
    Category, ContentEnvelope, Context, DetectionPlugin, Findings, Inspector, InspectorConfig, Pattern,
    PluginError, PluginRegistry, Verdict,
};

const LINK_FARM: Pattern = Pattern::new("link-farm", Category::Other, 60, &["SPAM"]);

struct LinkFarms;

impl DetectionPlugin for LinkFarms {
    fn id(&self) -> &'static str {
        "link-farms"
    }

    fn analyze(&self, content: &ContentEnvelope, _: &Context) -> Result<Findings, PluginError> {
        let mut found = Findings::none();
        for field in content.fields() {
            let links: Vec<_> = field.text.match_indices("https://").collect();
            if links.len() * 60 > field.text.len() && links.len() > 3 {
                for (at, scheme) in links {
                    found.add(&LINK_FARM, &field, at..at + scheme.len(), "https://…");
                }
            }
        }
        Ok(found)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let inspector = Inspector::new(PluginRegistry::new().with(LinkFarms)?, InspectorConfig::default());
    let post = "https://a.example https://b.example https://c.example https://d.example";
    let assessment = inspector.inspect(&ContentEnvelope::post(post)?).await;
    assert_eq!(assessment.verdict(), Verdict::Quarantine);
    println!("{}", serde_json::to_string_pretty(assessment.inspection())?);
    Ok(())
}
