/**
 * What else asks a control plane while agents report: Prometheus for the metrics page, and people
 * for the list of nodes. Both walk the whole fleet, so both can make a report wait.
 * Adapter: network, timers.
 */
import type { Plane } from "./plane.ts";

/** Prometheus' own default is a minute; most installations ask four times as often. */
const EVERY_MS = 15_000;

export type Scraped = { pageMs: number[]; pageMib: number; listMs: number[]; failed: number };

/** Asks at once and then every quarter of a minute, until closed. */
export function openScraper(plane: Plane): { close(): Promise<Scraped> } {
  const scraped: Scraped = { pageMs: [], pageMib: 0, listMs: [], failed: 0 };
  let last = Promise.resolve();
  const ask = async (path: string): Promise<{ tookMs: number; bytes: number }> => {
    const startMs = performance.now();
    const { status, bytes } = await plane.read(path);
    if (status !== 200) scraped.failed++;
    return { tookMs: performance.now() - startMs, bytes };
  };
  const round = async (): Promise<void> => {
    const page = await ask("/metrics");
    scraped.pageMs.push(page.tookMs);
    scraped.pageMib = page.bytes / 2 ** 20;
    scraped.listMs.push((await ask("/v1/nodes")).tookMs);
  };
  const again = (): void => {
    last = last.then(round).catch(() => void scraped.failed++);
  };
  again();
  const timer = setInterval(again, EVERY_MS);
  return {
    async close() {
      clearInterval(timer);
      await last;
      return scraped;
    },
  };
}
