//! Functions that begin with the watchdog in the binary: nothing is built for them.

use crate::support::Folder;

fn handler(word: &str) -> String {
    format!("def handle(input):\n    return {{\"word\": \"{word}\"}}\n")
}

#[test]
fn functions_in_python_and_shell_are_served_without_a_build_and_again_when_they_change() {
    let folder = Folder::new();
    let manifest = |name: &str, command: &str, env: &str| {
        let text = format!(
            "apiVersion: picofaas.dev/v1\nkind: Function\nmetadata: {{name: {name}}}\nspec:\n  \
             executionMode: WARM\n  local: {{command: {command}}}\n  env: {env}\n"
        );
        folder.write(&format!("{name}/function.yaml"), &text);
    };
    let env = format!(
        "[{{name: HANDLER, value: 'app:handle'}}, {{name: XDG_CACHE_HOME, value: {}}}]",
        folder.outside("modules")
    );
    manifest("in-python", "[picofaas, watchdog, python]", &env);
    folder.write("in-python/app.py", &handler("one"));
    manifest("in-shell", "[picofaas, watchdog, stdio, --, sh, function.sh]", "[]");
    folder.write("in-shell/function.sh", "echo '{\"word\":\"one\"}'\n");
    let dev = folder.dev();
    for name in ["in-python", "in-shell"] {
        dev.answers(name, "word", "one");
    }
    folder.write("in-python/app.py", &handler("two"));
    folder.write("in-shell/function.sh", "echo '{\"word\":\"two\"}'\n");
    for name in ["in-python", "in-shell"] {
        dev.answers(name, "word", "two");
    }
}
