"""Measures shuttled beside other proxies. perf/run and perf/compare are the way in; perf/README.md says how to read it."""
