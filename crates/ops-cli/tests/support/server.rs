//! A server, on ports that are free, stopped when it is dropped.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::Claw;

pub struct Server {
    child: Child,
    pub public: String,
    pub admin: String,
}

impl Server {
    /// Serves the folder of `claw`, and returns once it listens.
    pub fn start(claw: &Claw) -> Self {
        let args = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--output", "json"];
        let mut child = claw.command(&args).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let address = |name: &str| said.get(name).unwrap().as_str().unwrap().to_owned();
        Self { public: address("public"), admin: address("admin"), child }
    }

    /// Tells it to stop, and gives its exit code.
    pub fn stop(mut self) -> Option<i32> {
        signal(&self.child, Signal::TERM);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that was stopped is gone already.
        let _gone = self.child.kill().and_then(|()| self.child.wait());
    }
}

pub fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}
