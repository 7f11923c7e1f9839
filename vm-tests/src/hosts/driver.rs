//! What any way of having hosts can do: containers here, virtual or real machines where there are some.
//!
//! `run` is the way in that works whatever is broken (a console), not SSH: faults are set and evidence is taken
//! through it. What ferry does goes over SSH only, and so does [`Driver::ssh`].

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use super::egress::Egress;
use super::fault::Fault;
use crate::error::Error;
use crate::program::{Ended, Program};

/// Hosts of one lab. Hosts count from 1.
pub trait Driver {
    /// Brings up hosts 1 to `count` and waits until each lets people in. What is up already stays as it is.
    fn up(&self, count: u8) -> Result<(), Error>;
    /// Ends all hosts at once and removes whatever was made for the lab, state included.
    fn down(&self) -> Result<(), Error>;
    /// Power cut: nothing on the host gets a chance to do anything.
    fn kill(&self, host: u8) -> Result<(), Error>;
    /// Power on after a power cut; waits until the host lets people in.
    fn boot(&self, host: u8) -> Result<(), Error>;
    /// Power cut, a fresh disk, power on.
    fn reset(&self, host: u8) -> Result<(), Error>;
    /// Its address.
    fn address(&self, host: u8) -> Result<Ipv4Addr, Error>;
    /// Whether it has power.
    fn is_up(&self, host: u8) -> bool;
    /// Runs a script as root on the host's console.
    fn run(&self, host: u8, script: &str) -> Result<Ended, Error>;
    /// Breaks something.
    fn fault(&self, host: u8, fault: &Fault) -> Result<(), Error>;
    /// Takes back what was broken, last first.
    fn heal(&self, host: u8) -> Result<(), Error>;
    /// What has tried to leave the lab since it came up or was last asked to forget.
    fn egress(&self) -> Result<Egress, Error>;
    /// Forgets what has tried to leave.
    fn forget_egress(&self) -> Result<(), Error>;
    /// A program that is to run where the operator sits: beside the hosts, without a way out.
    fn beside(&self, program: &str) -> Program;
    /// The private key that root and ops let in.
    fn identity(&self) -> PathBuf;
    /// The public host key, as `known_hosts` has it, without the address.
    fn host_key(&self, host: u8) -> Result<String, Error>;
    /// A `/proc` that shows the host's processes, to be read from outside: whoever looks is not among them.
    fn processes(&self, host: u8) -> Result<PathBuf, Error>;
    /// The host's log of what happened before anybody could log in.
    fn console(&self, host: u8) -> Result<PathBuf, Error>;

    /// A script on the host's console that has to end with 0; returns its standard output.
    fn must(&self, host: u8, script: &str) -> Result<String, Error> {
        let ended = self.run(host, script)?;
        if ended.code == 0 {
            return Ok(ended.stdout);
        }
        Err(Error::Program {
            command: format!("on host {host}: {script}"),
            status: ended.code.to_string(),
            output: format!("{}{}", ended.stdout, ended.stderr),
        })
    }

    /// An `ssh` to the host by key, from where the operator sits.
    fn ssh(&self, host: u8, user: &str) -> Result<Program, Error> {
        let target = format!("{user}@{}", self.address(host)?);
        Ok(ssh_options(self.beside("ssh"), &self.identity()).arg(target))
    }
}

/// Options with which `ssh` asks nobody and remembers nothing: each reset brings new host keys.
fn ssh_options(program: Program, identity: &Path) -> Program {
    program.arg("-i").arg(identity).args([
        "-q",
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "GlobalKnownHostsFile=/dev/null",
        "-o",
        "BatchMode=yes",
        "-o",
        "ConnectTimeout=5",
    ])
}
