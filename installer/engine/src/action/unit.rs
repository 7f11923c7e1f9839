//! A systemd unit that is enabled and runs with just these inputs.
//!
//! Whether a running unit has read its current files can't be seen from outside. So a stamp says with which inputs it
//! was last started; it is written after the start. Cut off in between, the unit is started once more.

use serde::{Deserialize, Serialize};

use super::Input;
use super::script::{Part, key};
use crate::host::quote;

/// systemd reads a unit that it does not know when it is asked for it. It is told to read all of them anew, which costs a third of a
/// second of processor time, only where files of those that it knows have changed.
const RELOAD: &str =
    "if systemctl show -p NeedDaemonReload '*' 2>/dev/null | grep -q =yes; then systemctl daemon-reload; fi\n";

/// A unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Its name, such as `etcd.service`.
    pub name: String,
    /// A digest of everything that it reads when it starts: when it changes, the unit is restarted.
    pub inputs: String,
    /// Whether it is expected to be `active` now. A kubelet before `kubeadm` has spoken is only enabled.
    pub running: bool,
}

impl Unit {
    pub(super) fn probe(&self) -> String {
        let (name, key) = (quote(&self.name), key(&format!("unit:{}", self.name)));
        format!(
            "echo \"$(systemctl is-enabled {name} 2>/dev/null || :) {} $(cat /var/lib/ferry/stamps/{key} 2>/dev/null || echo none)\"",
            if self.running { format!("$(systemctl is-active {name} 2>/dev/null || :)") } else { "any".into() }
        )
    }

    pub(super) fn wanted(&self) -> String {
        format!("enabled {} {}", if self.running { "active" } else { "any" }, self.inputs)
    }

    fn what(&self) -> String {
        format!("unit:{}", self.name)
    }

    pub(super) fn part(&self) -> Part {
        let (name, key) = (quote(&self.name), key(&format!("unit:{}", self.name)));
        let start = if self.running {
            // What systemd says first is rarely the reason; the unit's own last lines are.
            format!(
                "systemctl reset-failed {name} 2>/dev/null || :\n\
                 systemctl restart {name} || {{ journalctl -u {name} -n 20 --no-pager -o cat >&2 || :; exit 1; }}\n"
            )
        } else {
            String::new()
        };
        let body = format!(
            "{RELOAD}[ \"$(systemctl show -p LoadState {name} 2>/dev/null)\" = LoadState=loaded ] || systemctl daemon-reload\n[ -e $S/before/unit-{key} ] || {{ printf '%s %s\\n' \"$(systemctl is-enabled {name} 2>/dev/null || :)\" \"$(systemctl is-active {name} 2>/dev/null || :)\" >$S/before/unit-{key}.part; f_sync $S/before/unit-{key}.part; mv -f $S/before/unit-{key}.part $S/before/unit-{key}; f_sync $S/before; }}\nsystemctl enable -q --no-reload {name}\n{start}printf '%s' {} >$S/stamps/{key}.part; f_sync $S/stamps/{key}.part; mv -f $S/stamps/{key}.part $S/stamps/{key}",
            quote(&self.inputs)
        );
        Part { what: self.what(), probe: self.probe(), wanted: self.wanted(), body, input: Input::None }
    }

    /// A unit that ran before runs on, with its files of before: it is noted for a restart when they are back.
    pub(super) fn back(name: &str) -> String {
        let (key, name) = (key(&format!("unit:{name}")), quote(name));
        format!(
            "was=$(cat $S/before/unit-{key} 2>/dev/null || :)\n\
             case $was in enabled*) ;; *) systemctl disable -q {name} 2>/dev/null || : ;; esac\n\
             case $was in *' active') grep -qxF -e {name} $S/restart 2>/dev/null || echo {name} >>$S/restart ;; *) systemctl stop {name} 2>/dev/null || : ;; esac\n\
             rm -f $S/stamps/{key}"
        )
    }
}
