"""Tests that need a whole machine: systemd, reboots. They are scripts, to be run inside it; HACKING.md says how."""
