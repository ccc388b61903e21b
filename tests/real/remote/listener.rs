//! A server that the test starts at an address of the loopback interface, and ends.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::world::World;

/// How long a server may take until it listens, on a busy machine.
const START: Duration = Duration::from_secs(60);
/// How long one may take to end when it is asked to.
const END: Duration = Duration::from_secs(3);

/// A server that listens. It is ended with the value.
pub(crate) struct Listener {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Listener {
    /// Starts what `command` makes for a free port, and waits until it listens there.
    pub(crate) fn start(world: &World, command: impl Fn(u16) -> Command) -> Self {
        let log = world.path("listener.log");
        let end = Instant::now() + START;
        loop {
            let address = free_address();
            let mut command = command(address.port());
            let file = File::create(&log).unwrap();
            command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
            let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
            // One that ends has met somebody who was quicker to take the port.
            while child.try_wait().unwrap().is_none() {
                if TcpStream::connect(address).is_ok() {
                    return Self { child, address };
                }
                thread::sleep(Duration::from_millis(20));
            }
            let said = fs::read_to_string(&log).unwrap_or_default();
            assert!(Instant::now() < end, "{command:?} does not listen\n{said}");
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
        let end = Instant::now() + END;
        while self.child.try_wait().is_ok_and(|status| status.is_none()) {
            if Instant::now() >= end {
                let _ = self.child.kill();
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
