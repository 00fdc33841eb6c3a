//! Child processes that die with their parent.
//!
//! The kernel tells a child of the death of the *thread* that made it, and a test's thread ends with the test, so all are made by
//! one thread that lives as long as the process.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};

type Job = Box<dyn FnOnce() + Send>;

fn maker() -> &'static Mutex<Sender<Job>> {
    static MAKER: OnceLock<Mutex<Sender<Job>>> = OnceLock::new();
    MAKER.get_or_init(|| {
        let (send, jobs) = channel::<Job>();
        std::thread::spawn(move || jobs.into_iter().for_each(|job| job()));
        Mutex::new(send)
    })
}

/// A command that the kernel kills when the thread that started it is gone.
pub fn tied(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program.as_ref());
    command
}

/// A running program; killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts a program; what it says goes to a file.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(program: &Path, arguments: &[String], environment: &[(&str, &str)], log: &Path) -> Self {
        let output = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log file");
        let mut command = tied(program);
        command.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null());
        command.stdout(output.try_clone().expect("a second handle")).stderr(output);
        Self::spawn(command)
    }

    /// Starts a command, which [`tied`] has made.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn(mut command: Command) -> Self {
        let (send, made) = channel();
        let job: Job = Box::new(move || drop(send.send(command.spawn())));
        maker().lock().expect("no maker has panicked").send(job).expect("the maker lives for ever");
        let child = made.recv().expect("the maker answers").expect("the program can be started");
        Self { child }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, as `TERM`, `STOP` or `CONT`.
    ///
    /// # Panics
    /// If there is no such process any more.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success(), "process {} is gone", self.child.id());
    }

    /// Kills it at once and waits for its end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait()
    }

    /// Its standard error, if it was piped; once.
    pub fn stderr(&mut self) -> Option<std::process::ChildStderr> {
        self.child.stderr.take()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}
