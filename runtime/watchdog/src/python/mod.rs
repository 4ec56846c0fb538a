//! The mode `python`: the mode `worker` with the Python runtime as its program, or the mode `http` where the function
//! is a web application. No Python process is in front, so that a start is that of one and no more.
//!
//! | file | has |
//! |---|---|
//! | `interpreter` | which Python |
//! | `modules` | the runtime's modules, which this program brings |
//! | `module_folder` | the folder that they are written to, once |

mod interpreter;
mod module_folder;
mod modules;

pub use modules::{PACKAGE, modules};

use std::path::Path;

use crate::named_command::NamedCommand;
use crate::settings::SettingError;
use interpreter::Interpreter;

/// The oldest version that the runtime's modules can be read by.
const OLDEST: (u8, u8) = (3, 10);

/// The program of the interpreter. The current folder, which it puts first among those that modules are
/// looked for in, is left out until the runtime's own are there: a function may have a `types.py`.
/// `-m` would do the same with some milliseconds of modules that find modules. The folder with the
/// modules that we bring is the last, so that a package that is installed is the one that counts. It stays,
/// for processes that a handler starts by `multiprocessing`.
const START: &str = r#"
import sys
sys.path[:] = filter(None, sys.path)
_, folder, old, missing = sys.argv
del sys.argv[1:]
def unable(message):
    UNABLE
if sys.version_info < OLDEST:
    unable(old.replace("VERSION", "%d.%d" % sys.version_info[:2]))
if folder:
    sys.path.append(folder)
try:
    from picofaas_runtime.PROGRAM import main
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "picofaas_runtime":
        raise
    unable(missing)
del folder, old, missing, unable
main()
"#;

/// The programs of the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PythonProgram {
    /// A worker with a handler.
    Worker,
    /// A server of a web application.
    Web,
}

impl PythonProgram {
    /// The program for a `HANDLER`. A web application has the name that those who serve one look for; it cannot be
    /// told from a handler before it is loaded.
    pub(crate) fn of_handler(handler: Option<&str>) -> Self {
        let attribute = handler.and_then(|name| name.split_once(':')).map(|(_, attribute)| attribute);
        match attribute.map(|path| path.rsplit('.').next().unwrap_or(path)) {
            Some("app" | "application") => Self::Web,
            Some(_) | None => Self::Worker,
        }
    }

    fn module(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Web => "web",
        }
    }

    /// Statements that tell why there is none, and end.
    fn unable(self) -> &'static str {
        match self {
            Self::Worker => {
                "import json, os\n    \
                 text = json.dumps({\"error\": {\"message\": message}}).encode()\n    \
                 os.write(1, len(text).to_bytes(4, \"big\") + bytes(4) + text)\n    \
                 os._exit(1)"
            }
            Self::Web => "sys.exit(message)",
        }
    }
}

/// The command of a program of the runtime in the interpreter that the environment asks for.
pub(crate) fn command(
    program: PythonProgram,
    variable: impl Fn(&'static str) -> Result<Option<String>, SettingError>,
) -> Result<NamedCommand, SettingError> {
    let Interpreter { file, source } = Interpreter::choose(&variable, Path::new("."))?;
    let folder = module_folder::find(&variable)?;
    let (folder, fault) = match folder {
        Ok(folder) => (folder, String::new()),
        Err(fault) => (String::new(), fault),
    };
    let (major, minor) = OLDEST;
    let old = format!(
        "the interpreter `{file}` ({source}) is Python VERSION, and the runtime needs {major}.{minor} or \
         later: name another by PICOFAAS_PYTHON"
    );
    let missing = format!(
        "the interpreter `{file}` ({source}) has no package {PACKAGE}, and the modules that come with this program \
         cannot be used: {fault}. Install it: `{file} -m pip install PATH/TO/picofaas/pyruntime`; or set HOME or \
         XDG_CACHE_HOME to a folder that can be written"
    );
    let start = START.trim_start().replace("OLDEST", &format!("({major}, {minor})"));
    let start = start.replace("PROGRAM", program.module()).replace("UNABLE", program.unable());
    let words = vec![file, "-c".to_owned(), start, folder, old, missing];
    Ok(NamedCommand { words, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_application_is_known_by_its_usual_name() {
        for (handler, program) in [
            (Some("shop:app"), PythonProgram::Web),
            (Some("shop.web:application"), PythonProgram::Web),
            (Some("shop:site.app"), PythonProgram::Web),
            (Some("shop:handle"), PythonProgram::Worker),
            (Some("app:handle"), PythonProgram::Worker),
            (Some("app"), PythonProgram::Worker),
            (Some("shop:apply"), PythonProgram::Worker),
            (None, PythonProgram::Worker),
        ] {
            assert_eq!(PythonProgram::of_handler(handler), program, "{handler:?}");
        }
    }
}
