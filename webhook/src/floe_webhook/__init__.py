"""The admission webhook: decides, plans and patches pods that opted in."""
