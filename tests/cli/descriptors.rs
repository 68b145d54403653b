//! A sidecar that runs out of file descriptors: clients wait, and nothing else does.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::run::{configuration, run_in};

/// Longer than anything takes that comes at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// The sidecar of web in `directory`, which may have so many descriptors.
fn sidecar(directory: &Path, descriptors: u32) -> io::Result<Running> {
    let script = format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"");
    let args =
        "sidecar --config-dir conf --sidecar-for web --workers 1 --admin-bind 127.0.0.1:0 --log-level off";
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_spillway")]).args(args.split(' '));
    command.current_dir(directory).env_remove("SPILLWAY_CONFIG_DIR").spawn().map(Running)
}

fn connect(socket: &Path) -> io::Result<UnixStream> {
    let begun = Instant::now();
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Asks for something, and gives the body of the answer, whose length is said.
fn ask(stream: &mut UnixStream) -> io::Result<String> {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: api\r\n\r\n")?;
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    String::from_utf8(body).map_err(io::Error::other)
}

#[test]
fn clients_wait_for_descriptors_and_upstreams_do_not() -> io::Result<()> {
    // Takes connections and says nothing of mTLS: what a dial comes to shows that there was a socket for it.
    let api = TcpListener::bind("127.0.0.1:0")?;
    let public = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let services = format!(
        r#"config_entries {{ bootstrap = [{{ Kind = "proxy-defaults" Name = "global" Config {{ protocol = "http" }} }},
  {{ Kind = "service-resolver" Name = "api" ConnectTimeout = "100ms" }}] }}
services = [
  {{ name = "api" port = 80 connect {{ sidecar_service {{ address = "127.0.0.1" port = {api} }} }} }},
  {{ name = "web" port = 81 connect {{ sidecar_service {{ address = "127.0.0.1" port = {public} proxy {{
    upstreams = [{{ destination_name = "api" local_bind_socket_path = "api.sock" }}] }} }} }} }}]
"#,
        api = api.local_addr()?.port(),
    );
    let directory = configuration(&[("services.hcl", &services)])?;
    run_in(directory.path(), &["ca", "init", "--config-dir", "conf"])?.done();
    let _running = sidecar(directory.path(), 64)?;
    let socket = directory.path().join("api.sock");
    let mut first = connect(&socket)?;
    let before = ask(&mut first)?;
    assert!(before.contains("took longer than 100ms"), "{before}");
    let idle: Vec<UnixStream> = (0..100).map(|_| connect(&socket)).collect::<io::Result<_>>()?;
    assert_eq!(ask(&mut first)?, before, "with a hundred clients at the door");
    drop(idle);
    assert_eq!(ask(&mut connect(&socket)?)?, before, "and when they have gone");
    Ok(())
}
