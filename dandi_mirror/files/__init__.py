"""Open files so that no link leads elsewhere: the program's own files, and those below a folder of the user."""
