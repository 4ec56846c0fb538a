//! The machine's packet filter: kube-proxy, kubelet and network plugins make chains in it, which go with the
//! cluster.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::layout::Layout;

/// One per family of addresses: the program that prints the rules, the one that changes them, and what nft
/// calls the family.
const FAMILIES: [(&str, &str, &str); 2] =
    [("iptables-save", "iptables-restore", "ip"), ("ip6tables-save", "ip6tables-restore", "ip6")];

/// How chains of Kubernetes and of network plugins begin.
const PREFIXES: [&str; 2] = ["KUBE-", "CNI-"];

/// Notes what was there before, which stays. Refuses a machine that another kube-proxy is at work on.
pub(super) fn note(layout: &Layout) -> Result<()> {
    for (save, ..) in FAMILIES {
        let rules = print(save)?;
        if let Some(chain) = chains(&rules).into_iter().find(|chain| chain.starts_with(PREFIXES[0])) {
            bail!("{save} has the chain {chain}: another Kubernetes is at work on this machine's network");
        }
        layout.write(&format!("before/{save}"), &rules)?;
    }
    Ok(())
}

/// Removes the chains that the cluster made, the rules that lead to them, and tables that were not there.
pub(super) fn restore(layout: &Layout) -> Result<()> {
    for (save, restore, family) in FAMILIES {
        // Without a note nothing was started yet.
        let Ok(before) = std::fs::read_to_string(layout.path(&format!("before/{save}"))) else { continue };
        let changes = removal(&print(save)?, &before);
        if !changes.is_empty() {
            change(restore, &changes)?;
        }
        for table in new_and_empty(&print(save)?, &before) {
            delete_table(family, &table)?;
        }
    }
    Ok(())
}

/// Input of `iptables-restore --noflush` that removes the chains in `now` which are Kubernetes' and were not there
/// before.
fn removal(now: &str, before: &str) -> String {
    let known = chains(before);
    let mut changes = String::new();
    for table in now.split_inclusive("COMMIT\n") {
        let is_ours =
            |chain: &str| PREFIXES.iter().any(|prefix| chain.starts_with(prefix)) && !known.contains(chain);
        let ours: Vec<&str> = chains(table).into_iter().filter(|chain| is_ours(chain)).collect();
        let Some(name) = table.lines().find(|line| line.starts_with('*')) else { continue };
        let mut lines = String::new();
        for rule in table.lines().filter_map(|line| line.strip_prefix("-A ")) {
            let (chain, target) = (rule.split(' ').next().unwrap_or_default(), target(rule));
            if !ours.contains(&chain) && target.is_some_and(|target| ours.contains(&target)) {
                lines.push_str(&format!("-D {rule}\n"));
            }
        }
        // All are emptied before the first goes, because they lead to each other.
        for verb in ["-F", "-X"] {
            ours.iter().for_each(|chain| lines.push_str(&format!("{verb} {chain}\n")));
        }
        if !lines.is_empty() {
            changes.push_str(&format!("{name}\n{lines}COMMIT\n"));
        }
    }
    changes
}

/// Tables that were not there before and hold nothing. The first rule of a table makes it, and it stays.
fn new_and_empty(now: &str, before: &str) -> Vec<String> {
    let name = |table: &str| table.lines().find_map(|line| Some(line.strip_prefix('*')?.to_owned()));
    let known: Vec<String> = before.split_inclusive("COMMIT\n").filter_map(name).collect();
    let holds_nothing = |table: &&str| {
        // A chain without a policy is not one of the kernel's.
        table.lines().all(|line| !line.starts_with("-A ") && !line.contains(" - ["))
    };
    let tables = now.split_inclusive("COMMIT\n").filter(holds_nothing).filter_map(name);
    tables.filter(|table| !known.contains(table)).collect()
}

/// Only nft can. Where iptables is the old one, the kernel's tables cannot be removed and nft has none.
fn delete_table(family: &str, table: &str) -> Result<()> {
    let run = |arguments: &[&str]| {
        let output = Command::new("nft").args(arguments).output().context("cannot run nft")?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            bail!("`nft {}` failed: {}", arguments.join(" "), why.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let listed = run(&["list", "tables"])?;
    if listed.lines().any(|line| line == format!("table {family} {table}")) {
        run(&["delete", "table", family, table])?;
    }
    Ok(())
}

fn chains(rules: &str) -> BTreeSet<&str> {
    rules
        .lines()
        .filter_map(|line| line.strip_prefix(':'))
        .filter_map(|line| line.split(' ').next())
        .collect()
}

/// The last `-j` or `-g`: a comment before it may have the like in its text.
fn target(rule: &str) -> Option<&str> {
    let mut words = rule.rsplit(' ').peekable();
    while let Some(word) = words.next() {
        if words.peek().is_some_and(|&before| before == "-j" || before == "-g") {
            return Some(word);
        }
    }
    None
}

fn print(save: &str) -> Result<String> {
    let output = Command::new(save).output().with_context(|| format!("cannot run {save}"))?;
    if !output.status.success() {
        bail!("{save} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    // Comments have the time in them.
    let rules = String::from_utf8_lossy(&output.stdout);
    Ok(rules.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect())
}

fn change(restore: &str, changes: &str) -> Result<()> {
    let mut child = Command::new(restore)
        .args(["--noflush", "--wait"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {restore}"))?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(changes.as_bytes()).with_context(|| format!("cannot tell {restore}"))?;
    }
    let output = child.wait_with_output().with_context(|| format!("cannot wait for {restore}"))?;
    if !output.status.success() {
        bail!("{restore} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_of_kubernetes_go_with_the_rules_that_lead_to_them_and_nothing_else_does() {
        let before = "*nat\n:PREROUTING ACCEPT [0:0]\n:CNI-OF-ANOTHER - [0:0]\n-A PREROUTING -j CNI-OF-ANOTHER\nCOMMIT\n";
        let now = "*nat\n:PREROUTING ACCEPT [0:0]\n:CNI-OF-ANOTHER - [0:0]\n:KUBE-SERVICES - [0:0]\n:KUBE-SVC-A - [0:0]\n\
                   -A PREROUTING -j CNI-OF-ANOTHER\n-A PREROUTING -m comment --comment \"to -j x\" -j KUBE-SERVICES\n\
                   -A KUBE-SERVICES -j KUBE-SVC-A\nCOMMIT\n*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j ACCEPT\nCOMMIT\n";
        let expected = "*nat\n-D PREROUTING -m comment --comment \"to -j x\" -j KUBE-SERVICES\n\
                        -F KUBE-SERVICES\n-F KUBE-SVC-A\n-X KUBE-SERVICES\n-X KUBE-SVC-A\nCOMMIT\n";
        assert_eq!(removal(now, before), expected);
        assert_eq!(removal(before, before), "");
    }

    #[test]
    fn only_a_table_that_is_new_and_empty_is_removed_altogether() {
        let old = "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n";
        let empty = "*nat\n:INPUT ACCEPT [0:0]\nCOMMIT\n";
        let with_a_rule = "*raw\n:INPUT ACCEPT [0:0]\n-A INPUT -j ACCEPT\nCOMMIT\n";
        let with_a_chain = "*mangle\n:INPUT ACCEPT [0:0]\n:OTHERS - [0:0]\nCOMMIT\n";
        let now = [old, empty, with_a_rule, with_a_chain].concat();
        assert_eq!(new_and_empty(&now, old), ["nat"]);
    }
}
