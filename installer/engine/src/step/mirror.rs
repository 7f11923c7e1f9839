//! A registry host beside the first: the same content, taken from the first one by the host itself, so that it crosses the
//! operator's link once. Each blob is compared with its digest before it is handed to the host's own registry.
//!
//! A host without curl gets the content over the operator's link, as the first one does.

use std::collections::{BTreeMap, BTreeSet};

use ferry_bundle_format::Digest;

use super::base::FILES;
use super::context::{Context, StepBuildError};
use super::registry::{content, push_port};
use crate::action::{Action, File, Push, PushedImage, REGISTRY_AUTHORITY, Run, Subject};
use crate::pki::{PULL_CONFIG, PUSH_CONFIG};
use crate::plan::Step;
use crate::registry::{FILES_REPOSITORY, FilesManifest, MANIFEST};
use crate::site::Host;
use crate::site::file::Role;

/// One repository's content: blobs first, then manifests, those that others name first.
#[derive(Debug, Default)]
struct Copies {
    /// Repository, digest, and the repository that has it already.
    blobs: Vec<(String, Digest, Option<String>)>,
    /// Repository, what it is called there, media type, digest.
    manifests: Vec<(String, String, String, Digest)>,
    /// The last of each name, by which it is seen whether all is there.
    tops: Vec<(String, String, String, Digest)>,
    /// Where each blob is first.
    known: BTreeMap<Digest, String>,
    seen: BTreeSet<(String, Digest)>,
}

impl Copies {
    fn blob(&mut self, repository: &str, digest: Digest) {
        if self.seen.insert((repository.to_owned(), digest)) {
            let from = self.known.get(&digest).cloned();
            self.known.entry(digest).or_insert_with(|| repository.to_owned());
            self.blobs.push((repository.to_owned(), digest, from));
        }
    }

    fn top(&mut self, repository: &str, name: Option<String>, media_type: &str, digest: Digest) {
        let by_digest = (repository.to_owned(), digest.to_string(), media_type.to_owned(), digest);
        let named = name.map(|name| (repository.to_owned(), name, media_type.to_owned(), digest));
        self.manifests.push(by_digest.clone());
        self.manifests.extend(named.clone());
        self.tops.push(named.unwrap_or(by_digest));
    }

    /// All of it, a line each: `b` a blob and the repository that has it already (or `-`), `m` a manifest, `t` the last of a name.
    fn list(&self) -> String {
        let mut list = String::new();
        for (repository, digest, known) in &self.blobs {
            list.push_str(&format!("b {repository} {digest} {}\n", known.as_deref().unwrap_or("-")));
        }
        for (kind, all) in [("m", &self.manifests), ("t", &self.tops)] {
            for (repository, name, media_type, digest) in all {
                list.push_str(&format!("{kind} {repository} {name} {media_type} {digest}\n"));
            }
        }
        list
    }
}

/// The step of a registry host that is not the first.
pub(super) fn step(context: &mut Context<'_>, host: &Host) -> Result<Step, StepBuildError> {
    let title = "the content of the first registry";
    let push = content(context)?;
    let first = context.site.with(Role::Registry).next().filter(|first| first.name != host.name);
    let Some(first) = first.filter(|_| context.facts_of(host).is_ok_and(|facts| facts.has("curl"))) else {
        return Ok(Step::new("registry.mirror", &host.name, title, vec![Action::Push(push)]));
    };
    let folder = format!("{FILES}/registry");
    let mut actions = Vec::new();
    for (file, name) in [("pull.curl", PULL_CONFIG), ("push.curl", PUSH_CONFIG)] {
        actions.push(Action::File(context.secret_file(&format!("{folder}/{file}"), name, 0o600)?));
    }
    let copies = copies(context, &push)?;
    let from = format!("https://{}:{}/v2", first.name, context.site.registry.port);
    let to = format!("https://127.0.0.1:{}/v2", push_port(context));
    let list = File::text(format!("{folder}/mirror"), copies.list());
    actions.push(Action::Run(run(&list, push.bytes, &folder, &from, &to)));
    actions.insert(actions.len() - 1, Action::File(list));
    Ok(Step::new("registry.mirror", &host.name, title, actions))
}

fn copies(context: &Context<'_>, push: &Push) -> Result<Copies, StepBuildError> {
    let mut copies = Copies::default();
    for PushedImage { repository, tag, digest, made } in &push.images {
        let gone = || StepBuildError::Unsupported(format!("the bundle has no image {repository}@{digest}"));
        if *made {
            let image = context.probe_images.values().find(|image| image.digest() == *digest).ok_or_else(gone)?;
            for blob in [&image.config, &image.layer] {
                copies.blob(repository, Digest::of(&blob.0));
            }
            copies.top(repository, tag.clone(), MANIFEST, *digest);
            continue;
        }
        let locked =
            context.supply.lock().images.iter().find(|one| one.carried().digest == *digest).ok_or_else(gone)?;
        for one in &locked.manifests {
            for pin in std::iter::once(&one.config).chain(&one.layers) {
                copies.blob(repository, pin.digest);
            }
            if one.manifest.digest != *digest {
                let pin = &one.manifest;
                copies.manifests.push((repository.clone(), pin.digest.to_string(), pin.media_type.clone(), pin.digest));
            }
        }
        copies.top(repository, tag.clone(), &locked.carried().media_type, *digest);
    }
    if let Some(files) = FilesManifest::of(&push.files) {
        for digest in files.blobs {
            copies.blob(FILES_REPOSITORY, digest);
        }
        copies.top(FILES_REPOSITORY, Some(files.tag), MANIFEST, files.digest);
    }
    Ok(copies)
}

/// The command that copies what is in the list, which is a file: a script has room for some dozen images only.
fn run(list: &File, bytes: u64, folder: &str, from: &str, to: &str) -> Run {
    let curl = format!("curl -fsS --cacert {REGISTRY_AUTHORITY} --noproxy '*' --connect-timeout 10");
    let head = format!(
        "from='{from}' to='{to}'
get() {{ {curl} --speed-limit 1000 --speed-time 60 --config {folder}/pull.curl \"$@\"; }}
put() {{ {curl} --speed-limit 1 --speed-time 300 --config {folder}/push.curl \"$@\"; }}
has() {{ put -I --max-time 60 -H \"Accept: $3\" \"$to/$1/manifests/$2\" 2>/dev/null | tr -d '\\r' | grep -iqx \"docker-content-digest: $4\"; }}
"
    );
    let (path, digest) = (&list.path, list.content.digest().hex());
    let question = format!(
        "[ \"$(sha256sum <{path} | cut -c1-64)\" = {digest} ] || exit 1
while read -r kind a b c d <&3; do [ \"$kind\" != t ] || has \"$a\" \"$b\" \"$c\" \"$d\" || exit 1; done 3<{path}
"
    );
    let command = format!(
        "{head}W=/var/lib/ferry/mirror; rm -rf $W; mkdir -m 700 $W; trap 'rm -rf $W' EXIT
whole() {{ [ \"sha256:$(sha256sum <$W/one | cut -c1-64)\" = \"$1\" ] || {{ echo \"$1 did not arrive whole from $from\" >&2; exit 1; }}; }}
blob() {{
    ! put -I -o /dev/null \"$to/$1/blobs/$2\" 2>/dev/null || return 0
    [ \"$3\" = - ] || [ \"$(put -o /dev/null -w '%{{http_code}}' -X POST \"$to/$1/blobs/uploads/?mount=$2&from=$3\")\" != 201 ] || return 0
    get -o $W/one \"$from/$1/blobs/$2\"; whole \"$2\"
    at=$(put -D - -o /dev/null -X POST \"$to/$1/blobs/uploads/\" | tr -d '\\r' | sed -n 's/^[Ll]ocation: //p')
    case $at in /*) at=${{to%/v2}}$at;; esac
    case $at in *\\?*) at=\"$at&digest=$2\";; *) at=\"$at?digest=$2\";; esac
    put -o /dev/null -H 'Expect:' -H 'Content-Type: application/octet-stream' -T $W/one \"$at\"
    rm -f $W/one
}}
manifest() {{
    ! has \"$1\" \"$2\" \"$3\" \"$4\" || return 0
    get -H \"Accept: $3\" -o $W/one \"$from/$1/manifests/$4\"; whole \"$4\"
    put -o /dev/null -X PUT -H \"Content-Type: $3\" --data-binary @$W/one \"$to/$1/manifests/$2\"
}}
while read -r kind a b c d <&3; do
    case $kind in b) blob \"$a\" \"$b\" \"$c\";; m) manifest \"$a\" \"$b\" \"$c\" \"$d\";; esac
done 3<{path}
"
    );
    // As long as it may take at 1 MB/s: what stands still is noticed by curl.
    let seconds = (bytes / 1_000_000).max(3600);
    // What is there already is not taken again, so trying again goes on where it stopped.
    Run::unless("the content of the first registry is here", Subject::Other, format!("{head}{question}"), command)
        .within(seconds)
        .retried(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_hundred_images_are_copied_by_a_script_that_a_host_takes() {
        let (mut copies, media) = (Copies::default(), "application/vnd.oci.image.manifest.v1+json");
        for n in 0..500_u32 {
            let repository = format!("registry.example.com/project/name-{n}");
            copies.blob(&repository, Digest::of(b"shared"));
            (0..7_u32).for_each(|layer| copies.blob(&repository, Digest::of(format!("{n} {layer}").as_bytes())));
            copies.top(&repository, Some(format!("v{n}")), media, Digest::of(&n.to_be_bytes()));
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let list = File::text(at("mirror"), copies.list());
        let run = run(&list, 5_000_000_000, "/etc/ferry/registry", "https://a:5000/v2", "https://127.0.0.1:5001/v2");
        assert!(run.question.len() + run.command.len() < 16 << 10 && run.seconds == 5000);
        // What the loops call, with functions in place of those that ask registries.
        std::fs::write(at("mirror"), copies.list()).unwrap();
        let words = "blob() { echo blob \"$@\"; }\nmanifest() { echo manifest \"$@\"; }\nwhile read -r kind";
        let command = run.command.replace("while read -r kind", words).replace("/var/lib/ferry/mirror", &at("work"));
        let has = "has() { [ \"$2\" != \"${absent-}\" ]; }\n[ \"$(sha256sum";
        let question = run.question.replacen("[ \"$(sha256sum", has, 1);
        for shell in ["dash", "bash"] {
            let real = |script: &str| std::process::Command::new(shell).args(["-euc", script]).output().unwrap();
            let output = real(&command);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{shell}: {output:?}");
            assert_eq!((text.matches("blob ").count(), text.matches("manifest ").count()), (4000, 1000), "{shell}");
            let shared = Digest::of(b"shared");
            assert!(text.starts_with(&format!("blob registry.example.com/project/name-0 {shared} -\n")), "{shell}");
            let second =
                format!("blob registry.example.com/project/name-1 {shared} registry.example.com/project/name-0\n");
            assert!(text.contains(&second), "{shell}");
            assert!(real(&question).status.success(), "{shell}");
            assert!(
                !real(&format!("absent=v499\n{question}")).status.success(),
                "{shell}: the last one is asked for, too"
            );
        }
        std::fs::write(at("mirror"), "t another list\n").unwrap();
        let output = std::process::Command::new("sh").args(["-euc", &question]).output().unwrap();
        assert!(!output.status.success(), "another list than this one is not taken for done");
    }
}
