"""What every part of weir shares: names, types, errors and protocols. No I/O, no imports of ours."""
