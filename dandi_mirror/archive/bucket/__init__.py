"""Lists of the objects in an archive's bucket, as S3 gives them to anybody."""
