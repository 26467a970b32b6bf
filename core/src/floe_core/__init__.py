"""The shared vocabulary of floe-injector; imports no other room."""
