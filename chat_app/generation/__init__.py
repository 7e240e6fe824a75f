"""Model → log: a reply from its prompt to its last event.

`llm` is the interface of a model; `demo` and `litellm` implement it. `reply` adds events up,
`producer` runs one generation, `task` schedules it so that it survives its worker.
"""
