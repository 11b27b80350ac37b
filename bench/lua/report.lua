-- Appended to every script: one line that bench/load.py reads.
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format(
    "measured requests=%d microseconds=%d bytes=%d p50=%d p99=%d max=%d "
    .. "connect=%d read=%d write=%d timeout=%d status=%d\n",
    summary.requests, summary.duration, summary.bytes,
    latency:percentile(50), latency:percentile(99), latency.max,
    e.connect, e.read, e.write, e.timeout, e.status))
end
