"""Side-by-side benchmarks of the durable log and its nearest peer: `make bench`.

Files: `scenarios` what is measured · `budgets` what it must reach · `measure` one measurement, on
a `stage` of servers · `children` the programs it starts, with `lifeline` · `load` the load
generator, a process of its own, with `wire` (HTTP), `stamps` (what is counted), `proc` and `usage`
(what it costs) · `source` and `server` our side · `peer/` the other side · `report` and `chart`
what comes out, with `machine` and `progress` · `page` measures a `browser`:
`python -m bench.page`.
"""
