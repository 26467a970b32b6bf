"""What tests of plugins share: the compliance suites and the tools that they are made of."""
