"""Data contracts (ODCS): what their owners promise, read from files, with errors that point to the line."""
