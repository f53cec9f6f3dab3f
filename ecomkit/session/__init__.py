"""One episode being played: the only place where agent, tools, user and world meet."""
