"""Files opened so that a link which somebody has put there leads nowhere else: the program's own, and the user's."""
