"""`make demo`: the main job on real parts, told step by step; every step is checked, none is only told."""
