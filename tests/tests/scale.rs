//! Many hosts cost each host the same: content crosses the operator's link once, a worker gets as many commands on a large
//! site as on a small one, and memory stays small. `target/release/scale` does it with a thousand.

use std::process::Command;

use tests::scale::cost::Cost;

fn cost(hosts: usize) -> Cost {
    let output =
        Command::new(env!("CARGO_BIN_EXE_scale")).args(["one", &hosts.to_string()]).output().expect("scale runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).expect("a cost")
}

#[test]
fn eighty_hosts_cost_each_what_eight_do() {
    let (few, many) = (cost(8), cost(80));
    assert!(std::path::Path::new(env!("CARGO_BIN_EXE_sshfarm")).exists(), "the hosts");
    for cost in [&few, &many] {
        assert_eq!(cost.failures, Vec::<String>::new(), "all is well before");
        assert_eq!(cost.changed_again, 0, "the second time nothing is to do");
        assert_eq!(cost.worker_commands.0, cost.worker_commands.1, "every worker gets as many commands");
        assert!(cost.content > 0);
        assert!(cost.changed >= 20 * cost.hosts, "{} changes on {} hosts", cost.changed, cost.hosts);
    }
    assert_eq!(few.content, many.content, "content crosses the operator's link once, whatever the number of hosts");
    assert_eq!(few.worker_commands, many.worker_commands);
    // What a worker reads grows by its lines in /etc/hosts only: fewer than 64 bytes a host.
    let own = |cost: &Cost| cost.worker_input.1;
    assert!(own(&many) < own(&few) + 64 * 72, "{} and {} bytes", own(&few), own(&many));
    assert!(many.resident < 300 << 20, "{} bytes", many.resident);
    let pairs = |cost: &Cost| cost.findings / cost.hosts;
    assert!(pairs(&many) < 2 * pairs(&few).max(60), "{} and {} findings a host", pairs(&few), pairs(&many));
}
