# What takes too long for every submission. Needs root, Debian with systemd, Go; see docs/test-bed.md.

# A scenario on real hosts: `just vm`, `just vm kill-resume-ha --seed 7`; `just scenarios` lists them.
vm scenario='install-ha' *words='--hosts 3':
    cargo run --release --locked -p vm-tests -- run {{scenario}} {{words}} --out target/vm/{{scenario}}

# The scenarios, a line each.
scenarios:
    cargo run --release --locked -p vm-tests -- run --list

# As a submission is tested.
ci:
    .ci/run
