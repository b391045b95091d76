"""What a version and its git-annex logs look like in git: admission, records, trees."""
