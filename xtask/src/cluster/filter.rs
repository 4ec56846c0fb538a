//! The machine's packet filter: kube-proxy, kubelet and network plugins make chains in it, which go with the
//! cluster.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::layout::Layout;

/// One per family of addresses: the program that prints the rules, and the one that changes them.
const FAMILIES: [(&str, &str); 2] =
    [("iptables-save", "iptables-restore"), ("ip6tables-save", "ip6tables-restore")];

/// How chains of Kubernetes and of network plugins begin.
const PREFIXES: [&str; 2] = ["KUBE-", "CNI-"];

/// Notes what was there before, which stays. Refuses a machine that another kube-proxy is at work on.
pub fn note(layout: &Layout) -> Result<()> {
    for (save, _) in FAMILIES {
        let rules = print(save)?;
        if let Some(chain) = chains(&rules).into_iter().find(|chain| chain.starts_with(PREFIXES[0])) {
            bail!("{save} has the chain {chain}: another Kubernetes is at work on this machine's network");
        }
        layout.write(&format!("before/{save}"), &rules)?;
    }
    Ok(())
}

/// Removes the chains that the cluster made, the rules that lead to them, and tables that were not there.
pub fn restore(layout: &Layout) -> Result<()> {
    for (save, restore) in FAMILIES {
        // Without a note nothing was started yet.
        let Ok(before) = std::fs::read_to_string(layout.path(&format!("before/{save}"))) else { continue };
        let changes = removal(&print(save)?, &before);
        if !changes.is_empty() {
            change(restore, &changes)?;
        }
    }
    Ok(())
}

/// What `iptables-restore --noflush` has to be told so that the chains in `now` go which are Kubernetes' and
/// were not there before.
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

fn chains(rules: &str) -> BTreeSet<&str> {
    rules
        .lines()
        .filter_map(|line| line.strip_prefix(':'))
        .filter_map(|line| line.split(' ').next())
        .collect()
}

fn target(rule: &str) -> Option<&str> {
    let mut words = rule.split(' ');
    words.find(|&word| word == "-j" || word == "-g")?;
    words.next()
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
}
