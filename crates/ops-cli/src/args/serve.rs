//! What `claw serve` takes.

use std::net::SocketAddr;

use clap::Args;

pub(super) const SERVE_EXAMPLES: &str = "\
Examples:
  claw serve
  claw serve --listen 127.0.0.1:8080 --admin-listen 127.0.0.1:9090
  claw token create --id market --role platform
  curl -H 'Authorization: Bearer claw_…' -H 'Content-Type: application/json' \\
    -d '{\"agentId\":\"agent-7\",\"text\":\"A table for sale.\"}' http://127.0.0.1:8080/v1/submit";

#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// Where platforms and agents reach it [env: CLAW_LISTEN] [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where operators, moderators and scrapers reach it [env: CLAW_ADMIN_LISTEN] [default: 127.0.0.1:9090].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin_listen: Option<SocketAddr>,
}
