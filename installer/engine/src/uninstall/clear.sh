# Functions of all sweeps. What stood before ferry came is noted in $B by the first step of an install (`step/before.rs`).
set -eu
S=/var/lib/ferry
B=$S/before
f_there() { [ -e "$1" ] || [ -L "$1" ]; }
# Whether a file or folder was there before ferry, as one of the noted folders' entries.
f_stood() { grep -qxF -e "$1" $B/entries 2>/dev/null; }
# Whether a noted folder itself was.
f_folder() { grep -qxF -e "$1" $B/folders 2>/dev/null || f_stood "$1"; }
f_mounts() { awk '{ print $5 }' /proc/self/mountinfo; }
# f_gone FILE…: files of known names, unless they were there before.
f_gone() { for one in "$@"; do f_stood "$one" || rm -f -- "$one"; done; }
# f_before FILE…: files that kubeadm writes become what they were before it did; those that were not there go.
f_before() { for one in "$@"; do
    if f_there "$B/kubeadm-${one##*/}"; then rm -f -- "$one.ferry-part"; cp -a -- "$B/kubeadm-${one##*/}" "$one.ferry-part" && mv -fT -- "$one.ferry-part" "$one"
    else f_gone "$one"; fi
done; }
# f_hollow FOLDER…: empty folders, unless they were there before.
f_hollow() { for one in "$@"; do [ ! -d "$one" ] || [ -L "$one" ] || f_folder "$one" || rmdir -- "$one" 2>/dev/null || :; done; }
# f_clear FOLDER…: what came into them since ferry, and they themselves unless they were there before or something is mounted on
# them. Where something is mounted below, nothing is done: a volume that a pod still holds is never emptied.
f_clear() { for folder in "$@"; do
    [ -d "$folder" ] || continue
    if awk -v d="$(readlink -f -- "$folder")/" 'index($5, d) == 1 { f = 1 } END { exit !f }' /proc/self/mountinfo; then
        echo "$folder: something is still mounted below; see \`findmnt\`, end what uses it, and run this again" >&2; exit 1
    fi
    if f_folder "$folder" && [ ! -e $B/entries ]; then
        # Noted by a ferry that did not note what was in it.
        [ -z "$(ls -A "$folder")" ] || echo "note: $folder stays, with what is in it: it was there before ferry, and nothing says what in it is not ferry's"
    else
        for one in "$folder"/* "$folder"/.[!.]* "$folder"/..?*; do
            ! f_there "$one" || f_stood "$one" || rm -rf --one-file-system -- "$one"
        done
    fi
    awk -v d="$folder/." '$3 == d { print $1, $2 }' $B/modes 2>/dev/null | while read -r mode owner; do chown "$owner" "$folder/."; chmod "$mode" "$folder/."; done
    if [ -L "$folder" ] || f_folder "$folder" || f_mounts | grep -qxF -e "$folder"; then continue; fi
    rmdir -- "$folder" || echo "note: $folder stays, with what is in it"
done; }
