//! The program `docent-server`, as its users meet it.
#![cfg(all(unix, feature = "cli"))]

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use docent::CreateMode;

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_docent-server"));
    command.args(args).stdin(Stdio::null());
    command
}

/// What it says on its error output, after it has ended with `status`.
#[track_caller]
fn fails(args: &[&str], status: i32) -> String {
    let Output {
        status: ended,
        stdout,
        stderr,
    } = program(args).output().unwrap();
    let text = String::from_utf8(stderr).unwrap();
    assert_eq!(ended.code(), Some(status), "{text}");
    assert!(stdout.is_empty() && !text.contains("panicked"), "{text}");
    text
}

/// One that runs, and ends with the value.
struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    fn new(args: &[&str]) -> Self {
        let mut child = program(args).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.output.read_line(&mut line).unwrap();
        assert!(read > 0, "it has ended");
        line.trim_end().to_owned()
    }

    fn connect_string(&mut self) -> String {
        let line = self.line();
        let servers = line.strip_prefix("connect to ");
        servers.expect("a connect string").to_owned()
    }

    /// Sends a signal, waits for the end, and returns what was printed until then.
    fn end(mut self, signal: &str) -> String {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        assert!(self.child.wait().unwrap().success());
        text
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn mistakes_are_explained() {
    assert!(fails(&["--prot", "1"], 2).contains("a similar argument exists: '--port'"));
    assert!(fails(&["--port", "65536"], 2).contains("65536 is not in 0..=65535"));
    assert!(fails(&["--release", "3.7"], 2).contains("[possible values: 3.8, 3.9]"));
    assert!(fails(&["--members", "0"], 2).contains("'--members <COUNT>'"));
    assert!(fails(&["--tick", "0"], 2).contains("'--tick <MILLISECONDS>'"));
    assert!(fails(&["--host", "localhost"], 2).contains("invalid IP address"));
    assert!(fails(&["durable"], 2).contains("unexpected argument 'durable'"));
}

#[test]
fn ports_that_cannot_be_had_are_named() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let error = fails(&["--port", &address.port().to_string()], 1);
    assert!(error.starts_with(&format!("docent-server: cannot listen on {address}: ")));
    let error = fails(&["--port", "65535", "--members", "2"], 1);
    assert!(error.contains("no port 65536"), "{error}");
}

#[test]
fn help_says_that_nothing_is_kept() {
    let output = program(&["--help"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("Nothing is ever written to disk"));
}

#[test]
fn it_serves_until_it_is_told_to_end() {
    for signal in ["-INT", "-TERM"] {
        let args = ["--port", "0", "--members", "3", "--tick", "100", "--trace"];
        let mut running = Running::new(&args);
        let servers = running.connect_string();
        assert_eq!(servers.split(',').count(), 3);
        assert!(running.line().contains("lost when this ends"));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let client = docent::connect(&servers).await.unwrap();
            assert_eq!(client.session_timeout().as_secs(), 2);
            let mode = CreateMode::Persistent;
            client.create("/a", b"secret", mode).await.unwrap();
            client.close().await;
        });
        let mut traced = String::new();
        while !traced.contains("closeSession") {
            traced += &running.line();
            traced += "\n";
        }
        traced += &running.end(signal);
        assert!(
            traced.contains("create2 /a, persistent, 6 bytes"),
            "{traced}"
        );
        assert!(!traced.contains("secret"), "{traced}");
    }
}
