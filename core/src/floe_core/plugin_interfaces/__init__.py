"""The interfaces of all plugins, one file each, and the registry that finds them by entry point."""
