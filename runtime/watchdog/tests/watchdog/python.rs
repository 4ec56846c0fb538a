//! The mode `python`: which interpreter runs the function, and where it has the runtime's modules from.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use picofaas_contract::{instance, process};
use tempfile::TempDir;

use crate::instance::WATCHDOG;

/// A folder with a function, which returns its input and the variable `OWN`, and the home of its user.
struct Function(TempDir);

impl Function {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let code = "import os\ndef handle(input): return [input, os.environ.get('OWN')]\n";
        fs::write(folder.path().join("app.py"), code).unwrap();
        Self(folder)
    }

    fn folder(&self) -> &Path {
        self.0.path()
    }

    /// The watchdog in the folder, with a home of its own.
    fn command(&self) -> Command {
        let mut command = Command::new(WATCHDOG);
        command.arg("python").current_dir(self.folder());
        command.env("HANDLER", "app:handle").env("HOME", self.folder().join("home"));
        command
    }

    /// An interpreter which is a script: it sets `OWN`, and does `more` before the real one takes over.
    fn interpreter(&self, path: &str, own: &str, more: &str) -> PathBuf {
        let file = self.folder().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(
            &file,
            format!("#!/bin/sh\nexport OWN={own}\n{more}\nexec '{}' \"$@\"\n", real().display()),
        )
        .unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }
}

/// Python itself: the first in `PATH` may be a script that looks for it at each start.
fn real() -> PathBuf {
    let asked = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().unwrap();
    PathBuf::from(String::from_utf8(asked.stdout).unwrap().trim_end())
}

fn output(command: &mut Command) -> String {
    let instance = instance::Instance::spawn(command);
    let answer = instance.connect().invoke("", r#"{"input":1}"#);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().to_owned()
}

/// The last line of a start that fails.
fn refusal(command: &mut Command) -> String {
    let (code, text) = process::Process::spawn(command.env("PORT", "0")).end();
    assert_eq!(code, 1, "{text}");
    text.lines().last().unwrap().to_owned()
}

#[test]
fn a_function_needs_nothing_but_an_interpreter() {
    let function = Function::new();
    assert_eq!(output(&mut function.command()), "[1,null]");
    let cache = function.folder().join("home/.cache/picofaas");
    let modules = fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path().join("picofaas_runtime");
    // Compiled at the first start, and not again at the next.
    let compiled = || -> Vec<_> {
        let files = fs::read_dir(modules.join("__pycache__")).unwrap().map(|file| file.unwrap());
        files.map(|file| (file.file_name(), file.metadata().unwrap().modified().unwrap())).collect()
    };
    let first = compiled();
    assert!(!first.is_empty());
    assert_eq!(output(&mut function.command()), "[1,null]");
    assert_eq!(compiled(), first);
}

#[test]
fn the_interpreter_is_the_named_one_or_that_of_an_environment() {
    let function = Function::new();
    function.interpreter(".venv/bin/python3", "of-the-folder", "");
    function.interpreter("venv/bin/python3", "in-force", "");
    let named = function.interpreter("python", "named", "");
    assert_eq!(output(&mut function.command()), r#"[1,"of-the-folder"]"#);
    let mut in_force = function.command();
    in_force.env("VIRTUAL_ENV", function.folder().join("venv"));
    assert_eq!(output(&mut in_force), r#"[1,"in-force"]"#);
    assert_eq!(output(in_force.env("PICOFAAS_PYTHON", named)), r#"[1,"named"]"#);
}

#[test]
fn an_interpreter_that_is_not_there_is_told_with_the_place_that_names_it() {
    let function = Function::new();
    let told = refusal(function.command().env("PICOFAAS_PYTHON", "no-such-python"));
    assert!(
        told.contains("PICOFAAS_PYTHON names the program `no-such-python`, which is in no folder"),
        "{told}"
    );
    let told = refusal(function.command().env("VIRTUAL_ENV", "/no/where"));
    assert!(told.contains("`/no/where/bin/python3` (VIRTUAL_ENV) cannot be started: No such file"), "{told}");
    fs::create_dir(function.folder().join(".venv")).unwrap();
    let told = refusal(&mut function.command());
    assert!(told.contains(".venv/bin/python3` (the environment .venv of this folder)"), "{told}");
    fs::remove_dir(function.folder().join(".venv")).unwrap();
    let told = refusal(function.command().env("PATH", "/no/where"));
    assert!(
        told.contains("install Python 3.10 or later, or name an interpreter by PICOFAAS_PYTHON"),
        "{told}"
    );
}

#[test]
fn a_package_that_is_installed_is_the_one_that_counts() {
    let function = Function::new();
    let package = function.folder().join("installed/picofaas_runtime");
    fs::create_dir_all(&package).unwrap();
    fs::write(package.join("__init__.py"), "").unwrap();
    fs::write(package.join("worker.py"), "def main(): raise SystemExit('the installed one')\n").unwrap();
    let told = refusal(function.command().env("PYTHONPATH", package.parent().unwrap()));
    assert!(told.ends_with("the installed one"), "{told}");
}

#[test]
fn a_package_that_is_missing_is_told_with_the_interpreter_and_the_remedy() {
    let function = Function::new();
    let mut command = function.command();
    command.env("HOME", "/dev/null").env("TMPDIR", "/dev/null");
    let told = refusal(command.env("PICOFAAS_PYTHON", real()));
    for said in [
        &format!("the interpreter `{}` (PICOFAAS_PYTHON) has no package picofaas_runtime", real().display()),
        "/dev/null/.cache/picofaas",
        "-m pip install PATH/TO/picofaas/pyruntime",
        "HOME",
    ] {
        assert!(told.contains(said), "no `{said}` in: {told}");
    }
}

#[test]
fn an_interpreter_that_is_too_old_is_told_with_its_version() {
    let function = Function::new();
    let pretend = r#"shift; code=$1; shift
set -- -c 'import sys; sys.version_info = (3, 9, 2); exec(sys.argv.pop(1))' "$code" "$@""#;
    let old = function.interpreter("old", "old", pretend);
    let told = refusal(function.command().env("PICOFAAS_PYTHON", &old));
    assert!(told.contains("is Python 3.9, and the runtime needs 3.10 or later"), "{told}");
    assert!(told.contains(old.to_str().unwrap()), "{told}");
}

#[test]
fn a_function_has_its_own_modules_first_and_no_arguments() {
    let function = Function::new();
    fs::write(function.folder().join("types.py"), "raise ImportError('not this one')\n").unwrap();
    fs::write(
        function.folder().join("app.py"),
        "import sys\ndef handle(input): return [sys.argv, sys.path[0]]\n",
    )
    .unwrap();
    let folder = fs::canonicalize(function.folder()).unwrap();
    assert_eq!(output(&mut function.command()), format!(r#"[["-c"],"{}"]"#, folder.display()));
}

/// Applications of both kinds, of which each answers with a text, its path and the body.
const SITE: &str = r#"
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"wsgi ", environ["PATH_INFO"].encode(), b" ", environ["wsgi.input"].read()]

async def app(scope, receive, send):
    assert scope["type"] == "http"
    message = await receive()
    await send({"type": "http.response.start", "status": 200})
    text = f"asgi {scope['path']} ".encode() + message["body"]
    await send({"type": "http.response.body", "body": text})

def api(environ, start_response): pass
"#;

#[test]
fn a_web_application_is_served_by_its_usual_name() {
    let function = Function::new();
    fs::write(function.folder().join("shop.py"), SITE).unwrap();
    for (handler, kind) in [("shop:app", "asgi"), ("shop:application", "wsgi")] {
        let mut command = function.command();
        // As one that has handlers, besides.
        command.env("HANDLER", handler).env("WATCHDOG_OUTPUT", "text");
        fs::rename(function.folder().join("shop.py"), function.folder().join("shop_.py")).unwrap();
        let reason = refusal(&mut command);
        assert!(reason.contains("there is no module shop"), "{reason}");
        fs::rename(function.folder().join("shop_.py"), function.folder().join("shop.py")).unwrap();
        let instance = instance::Instance::spawn(command.env_remove("PORT"));
        let mut connection = instance.connect();
        connection.send(
            "POST /web/a%20b HTTP/1.1\r\nhost: h\r\nx-execution-id: e-1\r\ncontent-length: 3\r\n\r\nabc",
        );
        let answer = connection.receive();
        assert_eq!((answer.status, answer.text()), (200, format!("{kind} /a b abc").as_str()));
        // An invocation is posted to its path.
        assert_eq!(connection.invoke("", r#"{"input":7}"#).text(), format!("\"{kind} / 7\""));
    }
}

#[test]
fn a_web_application_of_another_name_or_with_several_processes_is_told_what_to_do() {
    let function = Function::new();
    fs::write(function.folder().join("shop.py"), SITE).unwrap();
    let reason = refusal(function.command().env("HANDLER", "shop:api"));
    assert!(reason.contains("api is a web application (WSGI): name it app"), "{reason}");
    let mut command = function.command();
    command.env("HANDLER", "shop:app").env("PICOFAAS_WORKERS", "2").env("PORT", "0");
    let (code, text) = process::Process::spawn(&mut command).end();
    assert_eq!(code, 2);
    assert!(text.contains("PICOFAAS_WORKERS is `2`"), "{text}");
}
