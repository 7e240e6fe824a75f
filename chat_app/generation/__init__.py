"""Model → log: a reply from its prompt to its last event.

`llm` what a model is · `demo` and `litellm` the two kinds · `reply` what events add up to ·
`producer` one generation · `task` how it is scheduled and survives its worker.
"""
