"""The page: State classes that decide, components that show, one of them a live answer."""
