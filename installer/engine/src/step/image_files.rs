//! Programs that come in an image and run under systemd, without a container runtime around them (`RootDirectory=`): up before
//! anything joins, and whatever becomes of the runtime.

use crate::action::{Run, Subject};
use crate::host::quote;

/// The files of `image` in the folder `root`, in which `program` is then found: by that path, or below `usr/sbin` as the
/// packages of distributions have it. The folder appears by rename, whole; those of other versions beside it, below `roots`, go.
pub(super) fn unpacked(image: &str, roots: &str, root: &str, program: &str) -> Run {
    let quoted = quote(image);
    let name = program.rsplit('/').next().unwrap_or(program);
    let command = format!(
        "ctr='/usr/local/bin/ctr -n k8s.io images'
mount=$(mktemp -d /run/ferry-mount.XXXXXX)
trap '$ctr unmount --rm \"$mount\" >/dev/null 2>&1; rmdir \"$mount\" 2>/dev/null' EXIT
$ctr mount {quoted} \"$mount\" >/dev/null
rm -rf {root}.part; mkdir {root}.part
cp -a \"$mount/.\" {root}.part/
[ -e {root}.part/{program} ] || {{ mkdir -p {root}.part/usr/local/sbin; ln -s /usr/sbin/{name} {root}.part/{program}; }}
sync -f {root}.part 2>/dev/null || sync; mv -T {root}.part {root}
for old in {roots}/*; do [ \"$old\" = {root} ] || rm -rf \"$old\"; done"
    );
    // A link may lead to a place that is right only inside.
    let there = format!("[ -x {root}/{program} ] || [ -L {root}/{program} ]");
    Run::unless(format!("files of {image}"), Subject::Other, there, command).undone_by(format!("rm -rf {roots}/*"))
}

/// A unit of ferry's that has no work on this host any more ends, and does not come back at a boot.
pub(super) fn retired(unit: &str, what: &str) -> Run {
    Run::unless(
        format!("no {what} here"),
        Subject::Other,
        format!("! systemctl is-enabled -q {unit} 2>/dev/null && ! systemctl is-active -q {unit}"),
        format!("systemctl disable -q --now {unit}"),
    )
}
