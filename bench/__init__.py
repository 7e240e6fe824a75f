"""Side-by-side benchmarks of the durable log and its nearest peer: `make bench`.

`scenarios` lists what is measured, `budgets` the limits. `measure` takes one measurement on a
`stage` of servers; `children` starts the programs, and `lifeline` ends them. `load` is the load
generator, a separate process, with `wire` (HTTP), `stamps` (delta counting), `proc` and `usage`
(CPU and memory). `source` and `server` are our side, `peer/` is the other. `report` and `chart`
present the results, with `machine` and `progress`.

Two benchmarks run on their own: `python -m bench.page`, with `browser` and `page_report`, and
`python -m bench.stop`.
"""
