"""Other people's business domains as data: a database of records, tools that work on it, and tasks with an answer."""
