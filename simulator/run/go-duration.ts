/** Durations as upstream's reports print them: `10m0s`, `1h0m5s`, `1.5s`. Pure. */
export function formatGo(ms: number): string {
  const seconds = ms / 1_000;
  if (seconds < 1) return `${ms}ms`;
  const hours = Math.floor(seconds / 3_600);
  const minutes = Math.floor(seconds / 60) % 60;
  const rest = `${Number((seconds % 60).toFixed(3))}s`;
  if (hours > 0) return `${hours}h${minutes}m${rest}`;
  return minutes > 0 ? `${minutes}m${rest}` : rest;
}
