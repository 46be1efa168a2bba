"""Downloads: the jobs that bring what is on the web into buckets."""
