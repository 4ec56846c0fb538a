//! `completion`, `version`, `top`, and the plugin of kubectl.

use std::process::Command;

use crate::support::client_program::{ClientProgram, Said, VERSION};
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::{pool, warm};

/// Words that bash offers for the last of these, by the script that `completion bash` writes.
fn offered(program: &ClientProgram, words: &[&str]) -> Vec<String> {
    let script = "source <(\"$0\" completion bash); COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9\n\
                  _clap_complete_picofaas picofaas \"${COMP_WORDS[COMP_CWORD]}\" ''; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut command =
        program.command_of(Command::new("bash"), &["-c", script, env!("CARGO_BIN_EXE_picofaas"), "picofaas"]);
    command.args(words);
    let said = Said::of(command.spawn().unwrap());
    said.output().lines().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
}

#[test]
fn a_shell_completes_commands_and_the_names_that_the_server_has() {
    let server = Server::start(&[]);
    server.register(&pool("thumbnails", "http://127.0.0.1:9/"));
    let id = server.client().enqueue(BYSTANDER, 1);
    let program = ClientProgram::of(&server);
    assert_eq!(offered(&program, &["desc"]), ["describe"]);
    assert_eq!(offered(&program, &["invoke", "by"]), ["bystander"]);
    assert_eq!(offered(&program, &["invoke", ""])[..2], ["bystander", "thumbnails"]);
    assert_eq!(offered(&program, &["get", "fu"]), ["functions"]);
    assert_eq!(offered(&program, &["get", "functions", "t"]), ["thumbnails"]);
    assert_eq!(offered(&program, &["delete", "fn/t"]), ["fn/thumbnails"]);
    assert_eq!(offered(&program, &["cancel", &id[..20]]), [id.as_str()]);
    assert_eq!(offered(&program, &["describe", "ex", &id[..20]]), [id.as_str()]);
    // Of the server that the line names, and nothing of one that is not there.
    let other = Server::start_bare(&[]);
    let url = format!("http://{}", other.listen);
    assert_eq!(offered(&program, &["invoke", "--server", &url, "by"]), [""; 0]);
    assert_eq!(offered(&program, &["invoke", "--server", "http://127.0.0.1:1", "by"]), [""; 0]);
    program.write("picofaas/config.yaml", "contexts: [{name: lab, server: 'http://a'}]\n");
    assert_eq!(offered(&program, &["get", "fn", "--context", ""]), ["lab"]);
}

#[test]
fn every_shell_has_a_script_and_another_is_refused_with_those_there_are() {
    let program = ClientProgram::anywhere();
    for shell in ["bash", "zsh", "fish"] {
        let script = program.run(&["completion", shell]);
        assert!(script.output().contains("PICOFAAS_COMPLETE"), "{script:?}");
    }
    program.run(&["completion", "tcsh"]).assert_failed(2, &["bash, zsh, fish"]);
}

#[test]
fn versions_are_those_of_both_ends() {
    let server = Server::start(&[]);
    let program = ClientProgram::of(&server);
    let version = env!("CARGO_PKG_VERSION");
    let both = format!("Client: {VERSION}\nServer: {version} ({})\n", program.url());
    program.run(&["version"]).assert_output(&both);
    program.run(&["version", "-o", "json"]).assert_output(&format!(
        "{{\n  \"clientVersion\": \"{version}\",\n  \"serverVersion\": \"{version}\"\n}}\n"
    ));
    let nowhere = ClientProgram::at("127.0.0.1:1".parse().unwrap());
    nowhere.run(&["version", "--client"]).assert_output(&format!("Client: {VERSION}\n"));
    nowhere
        .run(&["version", "--client", "-o", "yaml"])
        .assert_output(&format!("clientVersion: \"{version}\"\n"));
}

#[test]
fn top_has_rates_and_times_where_there_are_metrics_and_says_where_there_are_none() {
    let server = Server::start(&[]);
    server.register(&warm("busy", "echo"));
    assert_eq!(server.invoke("busy", 1).output(), 1);
    let program = ClientProgram::at(server.management);
    let rows = |said: &Said| -> Vec<Vec<String>> {
        said.output()
            .lines()
            .map(|line| {
                line.split("   ").map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).collect()
            })
            .collect()
    };
    let top = program.run(&["top", "--interval", "50ms"]);
    let table = rows(&top);
    assert_eq!(table[0], ["FUNCTION", "RATE/S", "FAILED/S", "IN-FLIGHT", "QUEUED", "READY", "P50", "P99"]);
    let busy = table.iter().find(|row| row[0] == "busy").unwrap();
    assert_eq!(busy[..6], ["busy", "0.0", "0.0", "0", "0", "1/1"], "{top:?}");
    assert!(busy[6].ends_with('s') && busy[7].ends_with('s'), "{top:?}");
    assert!(table.iter().any(|row| row[0] == BYSTANDER), "{top:?}");
    let one = program.run(&["top", "busy", "--interval", "50ms"]);
    assert_eq!(one.output().lines().count(), 2);
    let clients = ClientProgram::of(&server).run(&["top", "busy"]);
    assert_eq!(rows(&clients)[1], ["busy", "-", "-", "0", "0", "1/1", "-", "-"]);
    assert!(clients.stderr.contains("has no metrics") && clients.stderr.contains("--server"), "{clients:?}");
}

#[test]
fn called_by_the_name_of_a_plugin_it_has_the_client_commands_alone_and_says_how_it_is_called() {
    let server = Server::start(&[]);
    let program = ClientProgram::of(&server);
    let plugin = program.folder().join("kubectl-picofaas");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_picofaas"), &plugin).unwrap();
    let run =
        |arguments: &[&str]| Said::of(program.command_of(Command::new(&plugin), arguments).spawn().unwrap());
    run(&["get", "fn", "-o", "name"]).assert_output("function/bystander\n");
    run(&["invoke", "nobody"]).assert_failed(4, &["`kubectl picofaas get functions` lists those there are"]);
    let help = run(&["--help"]);
    assert!(help.output().contains("Usage: kubectl picofaas <COMMAND>"), "{help:?}");
    run(&["serve"]).assert_failed(2, &["unrecognized subcommand 'serve'"]);
}
