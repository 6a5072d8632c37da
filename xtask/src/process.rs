//! Running programs: quietly for their output, or in the open with every line passed on and skips picked out.

use std::{
    ffi::OsStr,
    io::{self, BufRead, BufReader, IsTerminal, Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use crate::{Error, skips};

/// What a program run in the open left behind.
#[derive(Debug, Default)]
pub struct Finished {
    /// Lines of its output that report a skip, in no particular order.
    pub skips: Vec<String>,
}

/// A command that runs `cargo` in `root`, the one that runs this program if there is one.
pub fn cargo(root: &Path) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = in_directory(root, &program);
    if io::stdout().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    command
}

/// A command that runs `program` in `root`, free of what `cargo run` says about this package.
pub fn in_directory(root: &Path, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root);
    for (name, _) in std::env::vars_os() {
        let about_this_package = name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
        if about_this_package {
            command.env_remove(name);
        }
    }
    command
}

/// Whether this program can be started with these arguments and ends well.
pub fn works(root: &Path, program: &str, arguments: &[&str]) -> bool {
    let mut command = in_directory(root, program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The standard output of a program, as text.
///
/// # Errors
/// When it does not start, fails, or prints something that is not UTF-8.
pub fn capture(root: &Path, program: &str, arguments: &[&str]) -> Result<String, Error> {
    let mut command = in_directory(root, program);
    let line = command_line(command.args(arguments));
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Error::Run { program: line.clone(), source })?;
    if !output.status.success() {
        return Err(Error::Failed { program: line, status: output.status.to_string() });
    }
    String::from_utf8(output.stdout).map_err(|cause| Error::Output { program: line, why: cause.to_string() })
}

/// Runs a program, passing on each line it prints and keeping those that report a skip.
///
/// # Errors
/// When it does not start or fails.
pub fn show(command: &mut Command) -> Result<Finished, Error> {
    let line = command_line(command);
    println!("$ {line}");
    let error = |source| Error::Run { program: line.clone(), source };
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(error)?;
    let skips = pass_on(&mut child).map_err(error)?;
    let status = child.wait().map_err(error)?;
    if status.success() {
        Ok(Finished { skips })
    } else {
        Err(Error::Failed { program: line, status: status.to_string() })
    }
}

fn pass_on(child: &mut Child) -> io::Result<Vec<String>> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        let errors = scope.spawn(|| stderr.map_or(Ok(Vec::new()), |pipe| copy(pipe, io::stderr())));
        let mut skips = stdout.map_or(Ok(Vec::new()), |pipe| copy(pipe, io::stdout()))?;
        let joined =
            errors.join().unwrap_or_else(|_| Err(io::Error::other("the reader of stderr ended early")));
        skips.extend(joined?);
        Ok(skips)
    })
}

fn copy(from: impl Read, mut to: impl Write) -> io::Result<Vec<String>> {
    let mut skips = Vec::new();
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        to.write_all(&line)?;
        to.flush()?;
        let text = String::from_utf8_lossy(&line);
        if skips::ids(&text).next().is_some() {
            skips.push(text.trim().to_owned());
        }
        line.clear();
    }
    Ok(skips)
}

fn command_line(command: &Command) -> String {
    let mut words = vec![command.get_program()];
    words.extend(command.get_args());
    let shown = |word: &OsStr| {
        let text = word.to_string_lossy();
        // The full path of cargo or of an interpreter says nothing.
        if text.starts_with('/') {
            text.rsplit('/').next().unwrap_or_default().to_owned()
        } else {
            text.into()
        }
    };
    words.into_iter().map(shown).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_report_a_skip_are_kept() {
        let text: String = ["one\n", "  skip", "[no-disk]: why\n", "two"].concat();
        let mut passed_on = Vec::new();
        let kept = copy(text.as_bytes(), &mut passed_on).expect("memory never fails");
        assert_eq!(kept, [["skip", "[no-disk]: why"].concat()]);
        assert_eq!(passed_on, text.as_bytes());
    }

    #[test]
    fn a_failing_program_is_an_error_that_names_it() {
        let error = show(in_directory(Path::new("."), "false").arg("--x")).expect_err("false fails");
        assert_eq!(error.to_string(), "`false --x` failed (exit status: 1)");
    }
}
