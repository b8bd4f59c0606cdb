/**
 * Shows progress in the last line of standard error, redrawn until the work ends. A pipe gets
 * nothing.
 */
import type { World } from "./world.ts";

export type Progress = {
  /** `total` `null` = unknown. `more` follows if there is room. */
  show(done: number, total: number | null, more?: string): void;
  /** Wipes the line. */
  end(): void;
};

const DRAW_MS = 100;
const BAR_COLUMNS = 20;

type Unit = "bytes" | "count" | "share";

export function openProgress(world: World, title: string, unit: Unit): Progress {
  const { bar } = world;
  if (bar === undefined) return { show: () => undefined, end: () => undefined };
  let drawnMs = Number.NEGATIVE_INFINITY;
  return {
    show(done, total, more = "") {
      if (world.monoMs() - drawnMs < DRAW_MS) return;
      drawnMs = world.monoMs();
      const line = formatProgress({ title, unit, done, total, more });
      bar.draw([...line].slice(0, Math.max(1, bar.columns() - 1)).join(""));
    },
    end: () => bar.draw(null),
  };
}

type Shown = { title: string; unit: Unit; done: number; total: number | null; more: string };

/** `backup  [=====>              ]  27%  12.3 of 45.6 MiB`. */
export function formatProgress({ title, unit, done, total, more }: Shown): string {
  const parts = [title];
  if (total !== null && total > 0) {
    const share = Math.max(0, Math.min(1, done / total));
    const full = Math.floor(share * BAR_COLUMNS);
    const head = full < BAR_COLUMNS ? ">" : "";
    const filled = `${"=".repeat(full)}${head}`.padEnd(BAR_COLUMNS);
    parts.push(`[${filled}] ${String(Math.floor(share * 100)).padStart(3)}%`);
  }
  if (unit === "bytes") {
    const of = total === null ? "" : ` of ${mebibytes(total)}`;
    parts.push(`${mebibytes(done)}${of} MiB`);
  }
  if (unit === "count" && total !== null) parts.push(`${done} of ${total}`);
  return [...parts, ...(more === "" ? [] : [more])].join("  ");
}

function mebibytes(bytes: number): string {
  return (bytes / 1_048_576).toFixed(1);
}
